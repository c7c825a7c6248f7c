"""What the two roles are asked, and what a verdict is."""

from __future__ import annotations

import functools

import jinja2

from rlsc.environments.spc.derivations import Place, Step
from rlsc.types import Completion

CORRECT, INCORRECT = " Correct", " Incorrect"
"""The two verdicts, as they go on from the critic's prompt."""
STOP = ("\n",)
_VERDICTS = {"correct": True, "incorrect": False}


def critic_prompt(place: Place, step: Step) -> str:
    """Is this step correct? A text with worked examples, which the model goes on with."""
    return _rendered("critic", place, step)


def sneaky_prompt(place: Place) -> str:
    """Write the right step again, wrongly."""
    return _rendered("sneaky", place, place.step)


def verdict(completion: Completion) -> bool | None:
    """Whether a critic says that the step is correct; None where it says neither, or was cut off.

    The word alone counts, a full stop behind it allowed: `Correct`, not `Correct, since`.
    """
    if completion.finish_reason == "length":
        return None
    return _VERDICTS.get(completion.text.strip().removesuffix(".").lower())


def _rendered(role: str, place: Place, step: Step) -> str:
    terms = " + ".join(map(str, place.terms))
    done = "; ".join(map(str, place.prefix)) or "nothing"
    template = _templates().get_template(f"derivations/{role}.jinja")
    return template.render(terms=terms, done=done, step=step).rstrip("\n")


@functools.cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("rlsc.environments.spc", "templates")
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
