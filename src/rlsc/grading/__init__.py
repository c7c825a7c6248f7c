"""From a completion's text to its answer, and from the answer to a verdict.

`judge` decides; `Grader` runs it in guarded processes; `grade` is the short form.
"""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.grading.api import VERSION, Grader, Item, grade, shared_grader
    from rlsc.grading.clusters import answer_key, cluster_answers, vote_keys
    from rlsc.grading.extract.answer import extract_answer
    from rlsc.grading.extract.boxes import boxed
    from rlsc.grading.extract.own_words import after_prompt, answer_texts
    from rlsc.grading.extract.span import answer_span

__getattr__ = lazy_face(__name__)
