r"""What of a completion is its own words: no thought, code, made-up or repeated question.

A thought that is not closed is unfinished, and nothing in it is an answer; of a closed one with
nothing after it a box alone is.
"""

from __future__ import annotations

import html
import re

from rlsc.grading.extract.unsolved import PROGRESS
from rlsc.grading.notation.languages import ANSWER_SAYS, english_connectives, with_scales
from rlsc.types import CompletionGroup

_THOUGHT = r"(?:seed:)?(?:think(?:ing)?|thoughts?|reasoning)"
_OPENS = re.compile(
    rf"<{_THOUGHT}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>(?:analysis|commentary)",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"</{_THOUGHT}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>"
    r"|<\|channel\|>final(?:<\|message\|>)?",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_NEXT_QUESTION = re.compile(
    r"\n[ \t]*(?:#+\s*|\*\*)?(?:Question|Problem|Human|User|Q)(?:\s*\d+)?\s*:"
    r"|<\|(?:im_start|endoftext|im_end)\|>|\nYou are an AI assistant"
)
_AFTERTHOUGHT = re.compile(
    r"\n[ \t]*(?:[*_#]*(?:Check|Verification|Verify|Note|Explanation)[*_]*\s*:"
    r"|#+ *(?:Check|Verification|Notes?|Explanation)[ \t]*\n"
    # What a chat ends on: an offer.
    r"|(?:Would you like|Do you want|Let me know|Feel free to|I hope (?:this|that)"
    r"|If you(?:'d| would) like|If you (?:have|need|want) (?:any|more|further|another|me)"
    r" (?:other |more |further )?(?:questions?|help|explanation|details?|to))\b)"
)
# A last paragraph that checks what was found: it begins and ends as one.
_CHECKED = re.compile(
    r"\n[ \t]*(?:Let's|Let us|Let me|We can|We|I|To) (?:double[- ]?|re-?)?(?:check|verify)\b"
    r"(?=([^\n]{1,600}))\1(?<=[.!✓✔])\s*$"
)
_CONFIRMS = re.compile(
    r"(?:\b(?:correct|right|true|matches|satisfied|holds|works|consistent|as expected)\b"
    r"[^.!\n]{0,60}[.!]?|[✓✔])\s*$"
)
MARKS = re.compile(
    r"####[ \t]*(\S[^\n]*)|<answer>\s*([^<]{1,500}?)\s*</answer>"
    r"|[\"'](?:final[_ ]?)?answer[\"']\s*:\s*[\"']?([^\"'\n]{1,500}?)[\"']?\s*[,}]",
    re.IGNORECASE,
)
STATED = re.compile(
    r"(?:(?:answers?|(?:final|correct|right|possible)\s+(?:results?|solutions?|values?|options?))\s*"
    r"(?:(?:to|of|for)\s+[^.:\n]{1,80}?\s+)?(?:\([a-z][^()\n]{2,60}\)\s*)?(?:\*\*)?\s*"
    r"(?:is(?!n)|are(?!n)|=|:|would be|should be|will be)"
    rf"|{ANSWER_SAYS})"
    r"\s*(?:\*\*|:|therefore|thus|simply|indeed"
    r"|given by|about|approximately|roughly|exactly|\s)*",
    re.IGNORECASE,
)
_LONG_SPACE = re.compile(r"\s{8,}")
_QUOTED_QUESTION = re.compile(r'"[^"\n]{1,200}\?"')
_CODE = re.compile(r"```(?:python|py)\n.*?```", re.DOTALL)
_EMPTY_BOX = re.compile(
    r"\\(?:boxed|fbox)\s?\{\s?(?:(?:\\text\s?\{)?\s?(?:(?:your|the|final) ){0,3}"
    r"(?:answer|result|solution|number)(?: here)?\s?\}?|\.\.\.|\\l?dots|…|\?"
    r"|\\text\s?\{\s?\})?\s?\}"
    r"|\$?\\(?:boxed|fbox)\s?\{?(?:\\[a-z]{1,10}|[{(\[ ]){0,8}$"
    r"|\{?\s*[\"']answer[\"']\s*:\s*(?:[\"']{2}|null)\s*\}?",
    re.IGNORECASE,
)
_CALCULATOR = re.compile(r"<<[-+*/().,=\d\s%$]{1,80}>>")  # of GSM8K's solutions: 2 + 1 = <<2+1=3>>3
# x=1orx=2, $p=1$and$p=2$
_JOINED = re.compile(
    r"(?<=[\d)}\]])(or|and)(?=-?[\d(]|\\[a-z]|[A-Za-z](?:_\{?\w+\}?)?\s?[=<>])|(?<=\$)\s?(or|and)\s?(?=\$)"
)
# A text as JSON has it: no backslash is single, and a row of a matrix ends in four.
_DOUBLED = re.compile(r"(?:[^\\]|\\{2})*+", re.DOTALL)
_COMMAND = re.compile(
    r"(?<!\\)\\{2}(?:boxed|[dt]?frac|sqrt|left|right|text|begin|pi|cdot|times)(?![A-Za-z])"
)
_UNDERSCORED = re.compile(r"(?<![\w\\])__(?=[^\s_])([^_\n]{1,80})__(?!\w)")
# "7, or rather 8", "7 apples. Sorry, I mean 8", "B, or rather C": the last counts.
_CORRECTS = (
    r"(?:or\srather(?!\sthan)|correction:|scratch\sthat|(?:(?:no|sorry|oops|wait)[,:.]?\s+)?"
    r"(?:I\smeant?|make\s(?:that|it)|it\sshould\sbe))"
)
# "It should be 3 times the first", "no, 9 is not possible": nothing is put right.
_GOES_ON = "times|(?:[a-z]+er|more|less|wrong|is|isn't|was|are|does|of) ?"
_CORRECTED = re.compile(
    r"(?<![\w.,/\\])(?:\$[^$\n]{1,60}\$|[*(]{0,3}-?[$＄]?\d[\d.,/]{0,30}%?[*)]{0,3})(?:\s[a-z]{1,12}){0,2}"
    rf"(?:\s?[,;–—(-]+\s?|[.!]\s+|\s)(?:(?i:{_CORRECTS})|(?<=[,;–—(-]\s)(?i:no|sorry|oops|wait),)[,:]?\s+"
    r"(?:(?:it|that)(?:'s|\sis)\s+)?(?=(?:[*＄]*-?\$?\d[\d.,/]{0,30}+|\$[^$\n]{1,60}\$|\\[a-z(\[]|[a-z]\s?=)"
    rf"(?!(?:\s[a-z]{{1,12}})?\s(?:{_GOES_ON})\b))"
    r"|(?<![\w.\\])[A-Za-z(][A-Za-z]*\)?,?\s(?i:or\srather),?\s(?=\(?[A-Za-z])"
)
# In the first person, since what others get wrong takes nothing back.
_TAKEN_BACK = re.compile(
    r"(?:^|[.!\n])[\s*_]{0,8}"
    r"(?:(?:sorry|wait|oops|hmm|oh|(?:my )?apologies|actually|I apologi[sz]e)[,.!…—-]{0,4}\s+){0,2}"
    r"(?:but )?(?:it (?:seems|looks) (?:like |that )?)?I(?:'ve| have)?(?: just)? "
    r"(?:made an? (?:\w+ )?(?:mistake|error)|misread|miscalculated|miscounted|mistakenly)\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\[(?:insert|your|enter)\b[^\]\n]{0,30}\]|<(?:insert|your)\b[^>\n]{0,30}>|_{3,}", re.IGNORECASE
)
_ALIGNED = re.compile(
    r"\\begin\{((?:align(?:ed|at)?|gather(?:ed)?|equation|split|eqnarray)\*?)\}"
    r"((?:[^\\]|\\(?!begin|end)){1,3000})\\end\{\1\}",
    re.DOTALL,
)
_HEADING = re.compile(
    r"^[ \t]*[#*_]+[ \t]*((?:the )?(?:final )?answer)[ \t]*[*_]*[ \t]*$", re.I | re.M
)
# A full-width dollar stands for an escaped one, and an exclamation mark for no factorial.
_WIDE = {ord("−"): "-", **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}}
_WIDE |= {ord("＄"): "＄", ord("！"): ". ", ord("？"): "? ", ord("。"): ". ", ord("．"): "."}
_WIDE |= {ord("、"): ", ", ord("："): ": ", ord("；"): "; ", ord("【"): "[", ord("】"): "]"}
_HTML = re.compile(
    r"<(su[pb])>([^<]{1,40})</su[pb]>|</?(?:b|i|em|strong|u|p|span|div)(?: [^<>]{0,80})?>"
    r"|&(?:lt|gt|le|ge|ne|nbsp|times|minus|deg|quot|pi|radic);",
    re.IGNORECASE,
)
_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff\u2b50\ufe0f]+")

_SENTENCES = re.compile(r"((?<=[.!?])\s+|\n+)")
_COPY = re.compile(r"\s*(?:#+\s*|\*\*)?(?:Question|Problem|Q)(?:\s*\d+)?\s*:[^\n]*(?:\n|$)")
_TASK = re.compile(
    r"\W*(?:(?:so|now|first|okay|ok|well|alright|here|hence),?\s+)?(?:please\b"
    r"|(?:find|compute|calculate|determine|evaluate|solve|simplify|express|prove)\b"
    r"|(?:set|try|put|substitute)\b|let \$?[a-z]\w?\$? ?="
    r"|(?:given(?: that)?|suppose|assume|consider)\b|if\b.*\b(?:were|would)\b"
    r"|let(?:'s| us| me| \$?[a-z]\w?\$? (?:be|denote|represent))\b"
    r"|(?:your|the) task\b|here is\b.*\b(?:problem|question|task)\b"
    r"|we (?:know|are (?:given|told)|have been (?:given|told))\b"
    r"|(?:the|this) (?:question|problem|task|exercise)"
    r" (?:asks|is|wants|requires|gives|says|states)\b"
    r"|(?:we|you|i)(?:'re|'m)? (?:are |am )?(?:need|want|have|asked|told|trying|required|must)"
    r"(?: to)? (?:find|compute|determine|calculate|figure|know|solve|work|evaluate)\b)",
    re.IGNORECASE,
)
# "To add 48 and 90, you simply add them together." names what is added, and not what comes out.
_OPERATION = re.compile(
    r"\W*(?:(?:so|now|first|then|next|here|finally|well|okay|ok),?\s+)?"
    r"(?:(?:in order to|to|when|by|if|for)\s[^,.:=\n]{1,200},\s*)?"
    r"(?:(?:we|you|i|one|let's|let us)(?:'ll)?\s+)?"
    r"(?:(?:can|could|will|must|should|may|might|would|need to|have to|simply|just|also|first|then"
    r"|only|start by|begin by)\s+)*"
    r"(?:add|adding|sum|subtract|subtracting|multiply|multiplying|divide|dividing|combine|combining"
    r"|carry|calculate|compute)\b",
    re.IGNORECASE,
)
_OUTCOME = re.compile(
    r"[=≈:→]|\b(?:is|are|was|were|equals?|gets?|gives?|giving|makes?|making|totals?|totall?ing"
    r"|sums? to|results? in|resulting|yields?|becomes?|obtain|have(?! to)|has|leaves?|leaving"
    r"|so|thus|hence|therefore|which|answers?|altogether|in total)\b"
    r"|\b(?:to (?:find|reach|make|form|obtain|arrive at)|up to|for|for a total of) \$?\d",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"\d\s*(?:[-+*×·/÷]|\\times|\\cdot|\\div)\s*\$?\(?\d[\d\s+*×·/÷().,$%-]*="
    r"|\b(?:which|so(?! that)|thus|therefore|hence|gets?|gives?|giving|obtain|yields?|makes)\b.*\d"
    r"|\\\[|\$\$"
    r"|,\s*(?:there (?:is|are)|it is|we have)\b.*\d",
    re.IGNORECASE | re.DOTALL,
)
_UNKNOWN = re.compile(
    r"\bdepends? on\b|\b(?:not enough|insufficient) (?:information|data)\b"
    r"|\b(?:cannot|can't|can not) be (?:determined|found|known)\b",
    re.IGNORECASE,
)
_REJECTS = re.compile(
    r"\b(?:is|are|was|were|be|seems?)(?:\s+[a-z]+){0,2}?\s+"
    r"(?:wrong|incorrect|impossible|excluded|ruled out|too [a-z]+)\b[^,;]*(?:[,;]\D*)?$"
    r"|\b(?:is|are|was|were|(?:cannot|can't) be)(?:n't|(?:\s+[a-z]+)?\s+not)?(?<=t|e)"
    r"\s+(?:[a-z]+ly )?(?:right|correct|possible|valid|equal|the (?:[a-z]+ )?answer"
    r"|a (?:valid )?solution)\b[^,;]*(?:[,;]\D*)?$"
    r"|\b(?:does not|doesn't|do not|don't|cannot|can't|fails? to)"
    r"\s+(?:work|satisfy|hold|fit|fulfil|meet|solve|equal)\b[^,;]*(?:[,;]\D*)?$"
    r"|\b[Nn]either\s+\$?[\d\\(-]\S*\s+nor\b.*$"
)


# What others say, or what would be a mistake: up to the word that turns to what is so.
_OF_OTHERS = re.compile(
    r"\b(?:(?:common|usual|typical|frequent|tempting|easy|first)\s+(?:mistake|error|wrong|guess|trap"
    r"|misconception)|mistake\s+to\b|(?:people|students|someone|some|others|one|you|many)\s+"
    r"(?:(?:often|might|may|could|would|sometimes|mistakenly|wrongly)\s+)+"
    r"(?:say|think|guess|answer|believe|assume))\b"
    r"(?:(?!\b(?:but|however|actually|in fact|yet|while|whereas|instead)\b)[^;:])*",
    re.IGNORECASE,
)


_OF_BEFORE = re.compile(
    r"[,;]\s*(?:(?:but|and|though|yet)\s+)?(?:that|it|this|which)\s+(?:is|was|'s)\b"
)


def own_words(text: str) -> str:
    """The response without its thinking and without questions that the model made up itself."""
    if _COMMAND.search(text) and _DOUBLED.fullmatch(text):
        text = text.replace("\\\\", "\\")
    text = (
        _HTML.sub(_plain_html, text).translate(_WIDE).replace(r"\$", "＄")
    )  # an escaped dollar opens no formula
    if not text.isascii():
        text = with_scales(text)
    text = english_connectives(text)
    text = _LONG_SPACE.sub(lambda run: "\n\n" if "\n" in run.group() else "  ", text.strip())
    text = _without_check(_PLACEHOLDER.sub("", text))
    text = _EMOJI.sub("", _QUOTED_QUESTION.sub("", _EMPTY_BOX.sub("", text))).strip()
    text = _without_thought(_CODE.sub("", text).strip() or text)
    text = _JOINED.sub(lambda word: f" {word[0].strip()} ", text)
    text = _UNDERSCORED.sub(r"**\1**", _CALCULATOR.sub("", text))
    text = _ALIGNED.sub(_last_line, text)
    text = _CORRECTED.sub("", _HEADING.sub(r"\1:", text))
    text = _without_afterthought(_without_taken_back(text))
    for match in _NEXT_QUESTION.finditer(text):
        if text[: match.start()].strip():
            return text[: match.start()]
    return text


def _plain_html(tag: re.Match[str]) -> str:
    if tag[2]:
        return ("^" if tag[1].lower() == "sup" else "_") + f"{{{tag[2]}}}"
    return html.unescape(tag[0]) if tag[0].startswith("&") else ""


def after_prompt(prompt: str, text: str) -> str:
    """A completion with the tag of the thought that its prompt's template has opened, if any.

    >>> after_prompt("<|assistant|><think>\\n", "So 3 + 8 is")
    '<think>So 3 + 8 is'
    """
    opened = re.search(rf"({_OPENS.pattern})\s*$", prompt[-60:], re.IGNORECASE)
    return opened.group(1) + text if opened else text


def answer_texts(group: CompletionGroup) -> list[str]:
    """The group's completions, to be read for their answers: each `after_prompt`."""
    return [after_prompt(group.prompt.text, completion.text) for completion in group.completions]


def without_others(text: str) -> str:
    """Without what others say, or what would be a mistake, sentence by sentence."""
    return "".join(_OF_OTHERS.sub(" ", piece) for piece in _SENTENCES.split(text))


def without_tasks(text: str) -> str:
    """Prose without the sentences that ask, set a task or reject a value.

    "We need to find 5 + 7.", "What is 5 + 7?" and "12 is wrong." name numbers, and answer nothing.
    """
    text = _INSTEAD.sub(r"\1\2\3 ", text)
    pieces = _SENTENCES.split(_COPY.sub("", text, count=1) if _COPY.match(text) else text)
    kept = [_without_rejection(_OF_OTHERS.sub(" ", piece)) for piece in pieces[::2]]
    kept = ["" if _is_task(piece) else piece for piece in kept]
    breaks = [*pieces[1::2], ""]
    return "".join(sentence + gap for sentence, gap in zip(kept, breaks, strict=True)).strip()


# What a last sentence adds about the answer: what confirms it, what it leaves out, an aside.
_SUBJECT = r"(?:this|that|it|these|the\s(?:result|value|answer|number|total|sum|figure|amount))"
_KNOWN = (
    r"(?:with\b|(?:the|our|what|all)\b[^.\n]{0,40}\b(?:formulas?|rules?|patterns?|results?|estimates?"
    r"|expect\w*|conditions?|statements?|data|definitions?|graph|diagram|table|theorem)\b)"
)
_REMARK = re.compile(
    rf"(?:{_SUBJECT}\s(?:[a-z]+ly\s|also\s|indeed\s)?(?:(?:agrees?|match(?:es)?|fits?|coincides?"
    rf"|accords?|tall(?:y|ies))\s{_KNOWN}"
    r"|(?:is|are)\s(?:[a-z]+ly\s)?(?:consistent|in\s(?:agreement|line|accord(?:ance)?)|as\sexpected"
    r"|reasonable|plausible|what\s(?:we|one|you)\b)|makes?\s(?:good\s)?sense|confirms?\s)"
    r"|(?:please\s)?(?:(?:keep|bear)\sin\smind|note|notice|remember|be\saware|(?:do\snot|don't)\sforget)"
    rf",?\s(?:(?:however|though|also),?\s)?(?:that\s)?{_SUBJECT}\s(?:[a-z]+\s)?"
    r"(?:(?:does|do|did|is|are)(?:\snot|n't)|excludes?|includes?|assumes?|ignores?|leaves?\sout)\b"
    r"|(?:as\san?\s(?:[a-z]+\s)?check|for\scomparison|by\sthe\sway|incidentally|fun\sfact)\b"
    r")[^\n]*$",
    re.IGNORECASE,
)
_FINDS = re.compile(
    r"\b(?:so|thus|hence|therefore|options?|choices?|means|giving|leaves?|leaving|actually|instead"
    r"|only|when|if)\b|:\s*[$*]{0,3}-?\d|\bfor\s\$?[a-z]\s?="
    r"|\([A-J]\)|\b(?:answer|result)\s(?:is|should|must)\s[-$*\d\\]",
    re.IGNORECASE,
)


def without_remarks(text: str) -> str:
    """Without last sentences about the answer (`This agrees with the formula 2n - 1.`).

    One that finds something (`…, so it is 8`) stays, as does one that no number comes before.
    """
    for _ in range(2):
        sentence = max((cut.end() for cut in _SENTENCES.finditer(text.rstrip())), default=0)
        remark = _REMARK.match(text, max(0, sentence)) if sentence else None
        before = text[:sentence].rstrip()
        if remark is None or _FINDS.search(remark.group()) or not re.search(r"\d", before):
            return text
        text = before
    return text


# "It is not 10 but 12", "the total is not $10, but rather $12": what is said instead.
_INSTEAD = re.compile(
    r"\b(?:(is|are|was|were)(?:\s+not|n't)|(equals?|be|has|have|costs?)\s+not"
    r"|(?:does|do|did)(?:\s+not|n't)\s+(have|get|need|cost|equal|make|take|weigh))\s+[*]{0,2}"
    r"(?:\$[^$\n]{1,60}\$|-?[$＄€£]?\d[\d.,/]{0,30}(?<=\d)%?)(?:\s?[a-z€£°]{1,12}){0,2}[*]{0,2},?\s+but\s+"
    r"(?:(?:rather|instead|actually|in fact)\s+)?(?=[*]{0,2}(?:\$|\\[(a-z]|-?[$＄€£]?\d))",
    re.IGNORECASE,
)


def _without_rejection(sentence: str) -> str:
    """`It is 12` of `It is 12, as 13 is impossible.`"""
    rejects = _REJECTS.search(sentence[-200:])
    if not rejects:
        return sentence
    before = sentence[: max(0, len(sentence) - 200) + rejects.start()]
    cut = max(before.rfind(","), before.rfind(";"), 0)
    if _OF_BEFORE.match(sentence[cut:]):
        return ""  # "Someone might say 12, but that is wrong."
    before = before[:cut]
    return before if re.search(r"\d| is ", before) else ""


def _last_line(aligned: re.Match[str]) -> str:
    """Of a derivation in lines its last, but where one of them is boxed."""
    if _BOX.search(aligned[2]):
        return aligned[0]
    lines = [line.strip() for line in aligned[2].replace("&", " ").split(r"\\")]
    return f"$${next(filter(None, reversed(lines)), '')}$$"


def _is_task(sentence: str) -> bool:
    head = sentence[:2000]
    operation = _OPERATION.match(head)
    return sentence.rstrip("*_ ").endswith("?") or bool(
        PROGRESS.match(head)
        or _UNKNOWN.search(head)
        or (_TASK.match(head) and not _RESULT.search(head))
        or (operation and re.search(r"\d", head) and not _OUTCOME.search(head, operation.end()))
    )


def _without_thought(text: str) -> str:
    closed = None
    for closed in _CLOSES.finditer(text):  # noqa: B007
        pass
    if closed is not None:
        after = text[closed.end() :]
        # Of a finished thought with nothing after it, what it boxed.
        first = _BOX.search(text) if not after.strip() else None
        text = text[first.start() : closed.start()] if first else after
    opened = _OPENS.search(text)
    return text[: opened.start()] if opened else text


def _without_taken_back(text: str) -> str:
    """What follows the last "I made a mistake", where it has a number.

    And what follows "Wait" after an answer, where nothing confirms the answer or states another.
    """
    end = 0
    for match in _TAKEN_BACK.finditer(text):
        end = match.end()
    if end and re.search(r"\d", text[end:]):
        text = text[end:]
    wait = None
    for wait in _WAIT.finditer(text):  # noqa: B007
        pass
    if wait is None:
        return text
    before, after = text[: wait.start()], text[wait.end() :]
    if not _RESULT.search(after) or _FINE.search(after) or _states(after) or not _states(before):
        return text
    return after


def _states(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_BOX, MARKS, STATED))


_WAIT = re.compile(
    r"(?:(?<=[.!?] )|(?<=\n))(?:(?:no|oh|hmm|but|oops)[,.!…]{0,3} )?wait\b", re.IGNORECASE
)
_FINE = re.compile(
    r"\b(?:correct|right|yes|ok|okay|fine|indeed|match\w*|holds?|works?|consistent|same|still|good"
    r"|check\w*|verif\w+|confirm\w*)\b|[✓✔?]",
    re.IGNORECASE,
)


# "The answer is correct" answers nothing.
CONFIRMED = re.compile(
    r"(?:\w+ly\s+)?(?:(?:correct|verified|confirmed|reasonable|plausible|as expected"
    r"|consistent with|in (?:agreement|line) with)\b|right\W*$)",
    re.IGNORECASE | re.MULTILINE,
)


def _without_check(text: str) -> str:
    """Without a last paragraph that checks what was found, and finds nothing itself."""
    last = text.rfind("\n")
    check = _CHECKED.match(text, last) if last > 0 and text[:last].strip() else None
    if check is None or not _CONFIRMS.search(check[1][-100:]):
        return text
    stated = STATED.search(check[1])
    if stated and not CONFIRMED.match(check[1], stated.end()):
        return text
    return text if _BOX.search(check[1]) or MARKS.search(check[1]) else text[:last].rstrip()


def _without_afterthought(text: str) -> str:
    """Without a check or note that follows the answer; one before it stays."""
    checks = [match.start() for match in _AFTERTHOUGHT.finditer(text)]
    if not checks:
        return text
    first = 0
    for pattern in (_BOX, MARKS, STATED):
        if given := pattern.search(text):
            if not CONFIRMED.match(text, given.end()):
                first = given.start()
            break
    cut = next((start for start in checks if start > first and text[:start].strip()), len(text))
    return text[:cut]
