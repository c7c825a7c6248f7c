"""Which proposals are tasks: fifteen rules in their order, each with the name that is counted.

| # | reason | what is refused |
|---|---|---|
| 1 | `truncated` | the cap cut it off |
| 2 | `bad_format` | no fenced blocks, one that is open, text behind the last; no one message |
| 3 | `no_program`, `no_input` | not exactly one block of the kind |
| 4 | `too_long` | a program, an input or a message that is longer than is read |
| 5–8 | `syntax`, `no_entry`, `forbidden`, `degenerate` | see `sandbox/inspection.py` |
| 9 | `input_form` | other arguments than literals |
| 10 | `error` | an exception, whose class is the detail |
| 11 | `timeout`, `memory`, `output_too_long`, `crash` | a limit of the sandbox |
| 12 | `not_a_literal` | a value of another type than an answer may have |
| 13 | `nondeterministic` | two runs in two processes differ |
| 14 | `duplicate` | by the environment, with `reject_duplicates` |
| 15 | `few_inputs`, `message_has_code`, `constant_outputs` | of induction |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlsc.environments.azr.python.texts import Format, read
from rlsc.environments.azr.tasks import Kind, Refusal, Task
from rlsc.environments.sandbox import (
    INPUT_CHARACTERS,
    PROGRAM_CHARACTERS,
    VALIDATION,
    Call,
    Outcome,
    Reader,
    Request,
    Runner,
    Status,
    python_text,
)
from rlsc.types import Completion

MESSAGE_CHARACTERS = 1000
_REASONS = {Status.OUTPUT: "output_too_long", Status.NOT_LITERAL: "not_a_literal"}
_CODE = ("```", "def ", "lambda")


@dataclass(frozen=True)
class Draft:
    """A proposal that has not run: a program in normal form, its calls, the message if any."""

    program: str
    calls: Sequence[Call]
    message: str = ""


@dataclass(frozen=True)
class Validity:
    """Reads and runs proposals. `inputs` are those of an induction, `helpers` as a `Reader`'s."""

    reader: Reader
    runner: Runner
    form: Format
    inputs: int
    helpers: bool

    def tasks(
        self, kind: Kind, proposals: Sequence[tuple[Completion, Sequence[Task]]]
    ) -> list[Task | Refusal]:
        """Of each completion a task, or the first rule that it breaks."""
        return self.run(kind, [self._draft(kind, *proposal) for proposal in proposals])

    def run(self, kind: Kind, drafts: Sequence[Draft | Refusal]) -> list[Task | Refusal]:
        """Those drafts that are none yet refused, each in two processes."""
        asked = [
            Request(draft.program, [call.text for call in draft.calls], VALIDATION)
            for draft in drafts
            if isinstance(draft, Draft)
        ]
        ran = iter(self.runner.validate(asked))
        make = self._induction if kind == "induction" else _triplet
        return [
            draft if isinstance(draft, Refusal) else make(kind, draft, next(ran))
            for draft in drafts
        ]

    def draft(self, source: str, inputs: Sequence[str], message: str = "") -> Draft | Refusal:
        """Rules 4 to 9. Of induction an input that is not of the form is left out."""
        long = max(map(len, inputs), default=0) > INPUT_CHARACTERS
        if len(source) > PROGRAM_CHARACTERS or long or len(message) > MESSAGE_CHARACTERS:
            return Refusal("too_long")
        inspection = self.reader.program(source, self.helpers)
        if inspection.reason is not None or inspection.normal is None:
            return Refusal(inspection.reason or "syntax")
        return self.called(inspection.normal, inputs, message)

    def called(self, program: str, inputs: Sequence[str], message: str = "") -> Draft | Refusal:
        """Rule 9, of a program in normal form."""
        calls = {call.key: call for each in inputs if (call := self.reader.call(each))}
        if not calls:
            return Refusal("input_form", inputs[0] if inputs else "")
        return Draft(program, list(calls.values()), message)

    def _draft(
        self, kind: Kind, completion: Completion, references: Sequence[Task]
    ) -> Draft | Refusal:
        if completion.finish_reason == "length":
            return Refusal("truncated")
        written = read(completion.text, self.form)
        programs, inputs = written.of("python"), written.of("input")
        if not written.has_form:
            return Refusal("bad_format")
        if kind == "induction":
            messages = written.of("message")
            if len(messages) != 1:
                return Refusal("bad_format", f"{len(messages)} messages")
            return self._shown(references[0].program, inputs, messages[0].strip())
        if len(programs) != 1:
            return Refusal("no_program", f"{len(programs)} programs")
        if len(inputs) != 1:
            return Refusal("no_input", f"{len(inputs)} inputs")
        return self.draft(programs[0], inputs)

    def _shown(self, program: str, inputs: Sequence[str], message: str) -> Draft | Refusal:
        """Of an induction, whose program is given."""
        if not inputs:
            return Refusal("no_input")
        if max(map(len, inputs)) > INPUT_CHARACTERS or len(message) > MESSAGE_CHARACTERS:
            return Refusal("too_long")
        return self.called(program, inputs, message)

    def _induction(self, kind: Kind, draft: Draft, outcomes: Sequence[Outcome]) -> Task | Refusal:
        """The first inputs that are valid, as many as there must be."""
        ran = zip(draft.calls, outcomes, strict=True)
        valid = [(call, outcome.value) for call, outcome in ran if outcome.value is not None]
        valid = valid[: self.inputs]
        if len(valid) < self.inputs:
            bad = next((each for each in outcomes if not each.is_ok), None)
            why = f", {bad.status} {bad.detail}".rstrip() if bad else ""
            return Refusal("few_inputs", f"{len(valid)} of {self.inputs}{why}")
        longest = max(map(str.strip, draft.program.splitlines()), key=len)
        if any(part in draft.message for part in (*_CODE, longest)):
            return Refusal("message_has_code")
        if len({value for _, value in valid}) == 1:
            return Refusal("constant_outputs")
        pairs = tuple((arguments(call), python_text(value)) for call, value in valid)
        return Task(kind, draft.program, pairs=pairs, message=draft.message)


def _triplet(kind: Kind, draft: Draft, outcomes: Sequence[Outcome]) -> Task | Refusal:
    (call,), (outcome,) = draft.calls, outcomes
    if outcome.value is None:
        name = outcome.status
        return Refusal(_REASONS.get(name, name.value), outcome.detail)
    return Task(kind, draft.program, arguments(call), python_text(outcome.value))


def arguments(call: Call) -> str:
    """Those of a call, as they are shown and stored: ``[3, 1], 'a'``."""
    return call.text.removeprefix("f(").removesuffix(")")
