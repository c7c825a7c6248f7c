"""A task asked under a critic: by the model, by chance, by the truth, and plainly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlsc.config import CriticArguments
from rlsc.engines import Engine
from rlsc.environments import StepForm, SumSteps, TextSteps, terms_of
from rlsc.errors import ConfigError
from rlsc.evaluation.asking import Asked
from rlsc.evaluation.collecting import Collecting, collect, stored_samples
from rlsc.evaluation.guided.critics import ModelCritic, PerfectCritic, RandomCritic
from rlsc.evaluation.guided.decoding import Critic, Guidance, GuidedEngine
from rlsc.evaluation.guided.outcome import (
    Description,
    GuidedArms,
    mean_length,
    plain_samples,
    rejection_rate,
    shortest_mean,
)
from rlsc.grading import Grader
from rlsc.records import GUIDED, PERFECT, PLAIN, RANDOM, AnswerRow, rows_file
from rlsc.types import Setting, Task

_FORMS: dict[str, StepForm] = {
    "sums": SumSteps(),
    "paragraph": TextSteps("\n\n"),
    "line": TextSteps("\n"),
}
_NO_TRUTH = "which steps are right is known of sums alone"


@dataclass(frozen=True)
class LoadedCritic:
    """A model that judges, with what tells it from others."""

    model: Any
    tokenizer: Any
    origin: str
    """In words where it came from."""
    weights: str
    """A hash of them."""


def step_kinds(tasks: Sequence[Task], wanted: str) -> dict[str, str]:
    """By the name of each task what its steps are; raises `ConfigError` for one without steps."""
    kinds = {}
    for task in tasks:
        if task.steps:
            raise ConfigError(
                f"--critic: the questions of {task.name} are steps to be judged: evaluate the "
                "critic on it as --model"
            )
        if task.kind not in ("math", "numeric"):
            what = "multiple choice" if task.kind == "choice" else "about programs"
            raise ConfigError(
                f"--critic: {task.name} is {what}, and its answers have no steps: leave it out of "
                "--benchmarks"
            )
        other = next((q.id for q in task.questions if terms_of(q.text) is None), None)
        if wanted == "sums" and other is not None:
            raise ConfigError(
                f"--critic_steps sums: question {other} of {task.name} is no built-in sum: take "
                "paragraph or line"
            )
        auto = "paragraph" if other is not None else "sums"
        kinds[task.name] = auto if wanted == "auto" else wanted
    return kinds


def collect_guided(
    engine: Engine,
    tokenizer: Any,
    critic: LoadedCritic,
    asked: Asked,
    steps: str,
    config: CriticArguments,
    folder: Path,
    grader: Grader,
    how: Collecting,
) -> GuidedArms:
    """Answers under each critic, then as many plain ones as take the tokens of the dearest.

    `asked` is with the solver's settings, `tokenizer` the solver's; what `folder` already holds is
    kept.
    """
    form = _FORMS[steps]
    questions = {question.id: question.text for question in asked.task.questions}
    guidance = Guidance(
        form.separator, config.critic_tries, config.critic_threshold, config.critic_step_tokens
    )
    answers: dict[str, list[AnswerRow]] = {}

    def answer(label: str, by: Critic, identity: object) -> None:
        mine = replace(asked, setting=replace(asked.setting, name=label))
        of = {"critic": identity, "guidance": vars(guidance), "steps": steps}
        guided = GuidedEngine(engine, tokenizer, by, guidance)
        origin = replace(how, origin={**how.origin, **of})
        answers[label] = collect(guided, mine, folder, grader, origin)

    by_model = ModelCritic(critic.model, critic.tokenizer, form, questions)
    answer(GUIDED, by_model, critic.weights)
    rate = rejection_rate(answers[GUIDED])
    answer(RANDOM, RandomCritic(rate), ["random", rate])
    if form.knows_truth:
        answer(PERFECT, PerfectCritic(form, questions), "truth")
    plain = _collect_plain(engine, asked, list(answers.values()), folder, grader, how)
    described: Description = {
        "critic": critic.origin,
        "steps": steps,
        "tries": guidance.tries,
        "threshold": guidance.threshold,
        "step_tokens": guidance.step_tokens,
        "no_perfect_critic": "" if form.knows_truth else _NO_TRUTH,
    }
    settings = tuple(replace(asked.setting, name=label) for label in answers)
    return GuidedArms(plain, settings, described)


def _collect_plain(
    engine: Engine,
    asked: Asked,
    arms: Sequence[Sequence[AnswerRow]],
    folder: Path,
    grader: Grader,
    how: Collecting,
) -> Setting:
    """Samples without a critic that take no fewer tokens than any of the others; their setting.

    How long a plain answer is shows only then: where it is shorter than was thought, more are
    sampled, in place of the first. An evaluation that is gone on with begins from those.
    """
    stored = stored_samples(rows_file(folder, asked.task.name, PLAIN))
    samples = max(stored, plain_samples(arms, shortest_mean(arms)) + 1)
    while True:
        plain = replace(asked.setting, name=PLAIN, samples=samples)
        anew = replace(how, begin_anew=True)  # fewer samples may lie there
        rows = collect(engine, replace(asked, setting=plain), folder, grader, anew)
        needed = plain_samples(arms, mean_length(rows))
        if needed <= samples:
            return plain
        samples = needed + 1
