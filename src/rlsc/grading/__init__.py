"""From a completion's text to its answer, and from the answer to a verdict."""

from rlsc.grading.extract import extract_answer
from rlsc.grading.grade import grade, same_answer

__all__ = ["extract_answer", "grade", "same_answer"]
