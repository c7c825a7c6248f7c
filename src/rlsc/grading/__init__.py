"""From a completion's text to its answer, and from the answer to a verdict."""

from rlsc.grading.extract import extract_answer
from rlsc.grading.grade import answer_key, grade, same_answer

__all__ = ["answer_key", "extract_answer", "grade", "same_answer"]
