"""A response that says of itself that it has not solved its task."""

from __future__ import annotations

import re

_SENTENCE = 600
_CANNOT = (
    r"(?:(?:could|can|was|were|am|are)(?:n['’]t|\snot)|can['’]t|cannot|(?<=I)['’]m\snot|failed|(?:was|am|were)\sunable"
    r"|(?<=I)['’]m\sunable|have\s?(?:n['’]t|\snot)|did(?:n['’]t|\snot))"
)
# The task, and not what a story tells of: "any solution other than 3", "the number of workers".
_TASK = (
    r"(?:(?:it|this|that)\b|(?:the|this|my)\s(?:(?:final|correct|exact|right|whole|last)\s)*"
    r"(?:answer|solution|problem|question|task|exercise|equation|integral|proof|rest|value"
    r"|calculations?)\b|an?\s(?:final\s|exact\s)?(?:answer|solution)\b)"
    r"(?!\s(?:other|except|besides|but|of)\b|,?\swhich\b)"
)
_ENDS = r"(?=[\s.!…]*$|\s(?:from\shere|here|now|further|any\s(?:further|more)|beyond)\b)"
_ON_TASK = rf"(?:{_ENDS}|\s(?:on|with)\s{_TASK})"
_DONE = (
    rf"(?:(?:solved?|determined?|find|found|figured?\sout|finish(?:ed)?|complete[d]?|computed?"
    rf"|calculated?|answer(?:ed)?|evaluated?)\s{_TASK}|figured?\s(?:it|this|that)\sout"
    rf"|work(?:ed)?\s(?:it|this|that)\sout|(?:continued?|proceed|conclude|go\son){_ON_TASK}"
    r"|(?:get|got|reach(?:ed)?)\s(?:an|any|the)\s(?:final\s)?answer\b)"
)
_HOW = (
    r"(?:how\sto\s(?:continue|proceed|go\son|solve|finish|do\s(?:it|this)|answer)\b|what\sto\sdo\b)"
)
# The subject begins a clause: no "the probability (that) we failed …".
_UNSOLVED = re.compile(
    rf"(?:(?:^[^\w\"'‘“]*|[,;:(]\s*|\b(?:but|and|so|though|although|however|since|because|that|then)\s)(?:I|we)"
    rf"|\bbut)(?:\s(?:am|was|still|just|really|simply|also|then))*(?:\s{_CANNOT}|['’]m\s(?:not|unable))"
    rf"\s+(?:(?:really|quite|fully|yet|able\sto|to|even)\s)*{_DONE}"
    rf"|\bI\s(?:still\s)?(?:don['’]t|do\snot)\sknow\s(?:{_HOW}|(?:what\s)?the\sanswer\b)"
    rf"|(?<!['‘\"“])\bI(?:['’]m|\sam|\shave\sto|['’]ll|\swill|\smust)?\s(?:give|gave|giving)\sup{_ON_TASK}"
    rf"|(?<!['‘\"“])\bI(?:['’]m|\sam|\sgot|\swas)\sstuck{_ON_TASK}"
    rf"|\bI\s(?:ran|have\srun|am\srunning)\sout\sof\s(?:time|ideas){_ENDS}"
    rf"|\bI\shave\sno\sidea(?:{_ENDS}|\s{_HOW})"
    r"|^\W*(?:so\s|but\s)?(?:it|this|the\s(?:problem|question|task|equation))\s(?:remains?|is\sleft|is\sstill)"
    r"\s(?:still\s)?(?:unsolved|unfinished)\b"
    r"|(?:^\W*|\bbut\s)(?:I\s(?:was|am)\s)?(?:unable|not\sable|failed)\sto\s"
    rf"(?:solve|determine|finish|complete)(?:{_ENDS}|\s{_TASK})",
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


def unsolved_at(text: str) -> int | None:
    """Where the last sentence says, in the first person, that the task is not solved.

    `I considered 2 but could not solve it.` has no answer; `I could not solve it by hand at
    first, but the answer is 2.` has.
    """
    text = text.rstrip()
    sentence = re.split(r"(?<=[.!?])\s+|\n", text)[-1][-_SENTENCE:]
    said = None
    for said in _UNSOLVED.finditer(sentence):  # noqa: B007
        pass
    if said is None or _BUT.search(sentence, said.end()):
        return None
    # "He began 5 but did not finish it" is what happened.
    told = said.group().lower().startswith("but") and not _OURS.search(sentence, 0, said.end())
    return None if told else len(text) - len(sentence) + said.start()
