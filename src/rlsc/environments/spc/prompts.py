"""What the two roles are asked, and what a verdict is."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import jinja2

from rlsc.environments.spc.derivations import Place, Step
from rlsc.environments.spc.solutions import TextPlace
from rlsc.types import Completion

AnyPlace = Place | TextPlace
AnyStep = Step | str
CORRECT, INCORRECT = " Correct", " Incorrect"
"""The two verdicts, as they go on from the critic's prompt."""
STOP = ("\n",)
_VERDICTS = {"correct": True, "incorrect": False}


def critic_prompt(place: AnyPlace, step: AnyStep) -> str:
    """Is this step correct? A text with worked examples, which the model goes on with."""
    if isinstance(place, TextPlace):
        return text_critic_prompt(place.problem, place.done, str(step))
    return _rendered("critic", place, step)


def sneaky_prompt(place: AnyPlace) -> str:
    """Write the right step again, wrongly."""
    if isinstance(place, TextPlace):
        return _of_text("sneaky", place.problem, place.done, place.step)
    return _rendered("sneaky", place, place.step)


def verdict(completion: Completion) -> bool | None:
    """Whether a critic says that the step is correct; None where it says neither, or was cut off.

    The word alone counts, a full stop behind it allowed: `Correct`, not `Correct, since`.
    """
    if completion.finish_reason == "length":
        return None
    return _VERDICTS.get(completion.text.strip().removesuffix(".").lower())


def sum_critic_prompt(terms: Sequence[int], done: Sequence[str], step: str) -> str:
    """The critic's of any text in place of a step, after whatever steps."""
    return _of_sum("critic", terms, done, step)


def text_critic_prompt(problem: str, done: Sequence[str], step: str) -> str:
    """The critic's of a step in words; each text is on one line."""
    return _of_text("critic", problem, done, step)


def in_a_line(text: str) -> str:
    """Without line breaks, so that no text has headings of its own."""
    return " ".join(text.split())


def _rendered(role: str, place: Place, step: AnyStep) -> str:
    return _of_sum(
        role, place.terms, [str(earlier_step) for earlier_step in place.prefix], str(step)
    )


def _of_sum(role: str, terms: Sequence[int], done: Sequence[str], step: str) -> str:
    given = {"terms": " + ".join(map(str, terms)), "done": "; ".join(done) or "nothing"}
    return _filled(f"derivations/{role}.jinja", given | {"step": step})


def _of_text(role: str, problem: str, done: Sequence[str], step: str) -> str:
    before = " ".join(filter(None, map(in_a_line, done))) or "nothing"
    given = {"problem": in_a_line(problem), "done": before, "step": in_a_line(step)}
    return _filled(f"solutions/{role}.jinja", given)


def _filled(name: str, given: Mapping[str, str]) -> str:
    return _templates().get_template(name).render(**given).rstrip("\n")


@functools.cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("rlsc.environments.spc", "templates")
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
