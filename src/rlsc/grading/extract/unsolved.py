"""A response that says of itself that it has not solved its task."""

from __future__ import annotations

import re

_SENTENCE = 600
_CANNOT = (
    r"(?:(?:could|can|was|were|am|are)(?:n['’]t|\snot)|can['’]t|cannot|(?<=I)['’]m\snot|failed|(?:was|am|were)\sunable"
    r"|(?<=I)['’]m\sunable|have\s?(?:n['’]t|\snot)|did(?:n['’]t|\snot))"
)
_IT = (
    r"(?:it|this|that|(?:any|the)\s(?:final\s|correct\s|exact\s|right\s|whole\s|last\s)*"
    r"(?:answers?|values?|solution|problem|rest|result|question|task|equation|integral|sum|number|total"
    r"|steps?|calculations?|proof)|an\sanswer|more|further)\b"
)
_DONE = (
    rf"(?:(?:solved?|determined?|find|found|figured?\sout|finish(?:ed)?|complete[d]?|computed?"
    rf"|calculated?|answer(?:ed)?|evaluated?)\s+{_IT}|figured?\s(?:it|this|that)\sout"
    r"|work(?:ed)?\s(?:it|this|that)\sout|continued?\b|proceed\b|conclude\b|go\son\b"
    r"|(?:get|got|reach(?:ed)?)\s(?:an|any|the)\s(?:final\s)?(?:answer|result)\b)"
)
_UNSOLVED = re.compile(
    rf"\b(?:I|we|but)(?:\s(?:am|was|still|just|really|simply|also|then))*(?:\s{_CANNOT}|['’]m\s(?:not|unable))"
    rf"\s+(?:(?:really|quite|fully|yet|able\sto|to|even)\s)*{_DONE}"
    r"|\bI\s(?:still\s)?(?:don['’]t|do\snot)\sknow\s(?:how|what|the\sanswer|which)\b"
    r"|\bI(?:['’]m|\sam|\shave\sto|['’]ll|\swill|\smust)?\s(?:give|gave|giving)\sup\b"
    r"|\bI(?:['’]m|\sam|\sgot|\swas)\sstuck\b|\bI\s(?:ran|have\srun|am\srunning)\sout\sof\s(?:time|ideas)\b"
    r"|\bI\shave\sno\sidea\b|\b(?:remains?|left|is|still)\s(?:still\s)?(?:unsolved|unfinished)\b"
    r"|(?:^\W*|\bbut\s)(?:I\s(?:was|am)\s)?(?:unable|not\sable|failed)\sto\s"
    r"(?:solve|determine|finish|complete)\b",
    re.IGNORECASE,
)
# "… directly, so I used the formula, which gives 2": it was solved then.
_BUT = re.compile(
    r"\b(?:but|so|thus|hence|therefore|instead|however|yet|gives?|gets?|got|yields?|answer\sis"
    r"|result\sis|at\sfirst|until|otherwise)\b[^\n]*[\d\\]"
)
_OURS = re.compile(r"\b(?:I|we|my|our)\b|^\W*\w+ed\b", re.IGNORECASE)
PROGRESS = re.compile(
    r"[\W_]*(?:(?:this is (?:a |still )?)?(?:work )?in progress|unfinished|incomplete"
    r"|to be continued|(?:partial|intermediate|preliminary|tentative)"
    r" (?:results?|answers?|solutions?|values?|work)"
    r"|still working(?: on (?:it|this))?|so far|draft|scratch(?:pad| work)?)\s*[:.…-]",
    re.IGNORECASE,
)
"""What a line begins with that notes a value on the way."""


def is_unsolved(text: str) -> bool:
    """Whether the last sentence says, in the first person, that the task is not solved.

    `I considered 2 but could not solve it.` has no answer; `I could not solve it by hand at
    first, but the answer is 2.` has.
    """
    sentence = re.split(r"(?<=[.!?])\s+|\n", text.rstrip())[-1][-_SENTENCE:]
    said = None
    for said in _UNSOLVED.finditer(sentence):  # noqa: B007
        pass
    if said is None or _BUT.search(sentence, said.end()):
        return False
    # "He began 5 but did not finish it" is what happened.
    told = said.group().lower().startswith("but") and not _OURS.search(sentence, 0, said.start())
    return not told
