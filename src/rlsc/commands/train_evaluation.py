"""Which questions a run is evaluated on, and its evaluations before and after training."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlsc.config.run import RunConfig
from rlsc.data.prompts import fit_context, format_question, render, stop_token_ids
from rlsc.data.questions import QuestionSet, load_questions
from rlsc.engines import SamplingParams, spread
from rlsc.evaluation.evaluate import Evaluation, Pass, evaluate, standard_passes, summarise
from rlsc.grading import VERSION
from rlsc.models.loading import context_length, weights_fingerprint
from rlsc.records.files import write_json
from rlsc.records.jsonl import read_jsonl, write_jsonl
from rlsc.runtime.console import make_progress
from rlsc.runtime.processes import is_main, wait
from rlsc.training.arguments import RLSCConfig
from rlsc.training.trainer import RLSCTrainer
from rlsc.types import AnswerKey, Prompt, Question

TERSE = "Answer with just the number."
LONG_CAP = 256


@dataclass(frozen=True)
class EvaluationSet:
    """What a run is evaluated on, and in words how it relates to the training questions."""

    questions: tuple[Question, ...]
    answers: AnswerKey
    relation: str
    total: int
    """Questions there were before `eval_limit`."""


def questions_of(config: RunConfig, source: str) -> QuestionSet:
    """Load a source of questions with the run's column and split settings."""
    return load_questions(
        source,
        split=config.questions_split,
        config=config.questions_config,
        question_column=config.question_column,
        answer_column=config.answer_column,
        split_seed=config.split_seed,
    )


def evaluation_set(config: RunConfig, training: QuestionSet) -> EvaluationSet | None:
    """`--eval_questions`, else the held-out questions, else the training questions themselves."""
    if config.eval == "none":
        return None
    if config.eval_questions is not None:
        other = questions_of(config, config.eval_questions)
        questions, answers = other.held_out or other.train, other.answers
        relation = _overlap(questions, training, other.name)
    elif training.held_out:
        questions, answers = training.held_out, training.answers
        relation = f"held-out questions, split seed {config.split_seed}"
    else:
        questions, answers = training.train, training.answers
        relation = "the training questions themselves (transductive)"
    limited = questions[: config.eval_limit or None]
    return EvaluationSet(limited, answers, relation, len(questions))


def _overlap(questions: Sequence[Question], training: QuestionSet, name: str) -> str:
    """Name the evaluation questions, and say how many of them were trained on."""
    seen = {_normalised(question) for question in training.train}
    shared = sum(_normalised(question) in seen for question in questions)
    note = f" ({shared} of {len(questions)} also trained on: transductive)" if shared else ""
    return name + note


def _normalised(question: Question) -> str:
    return " ".join(question.text.lower().split())


@dataclass(frozen=True)
class _Plan:
    """One evaluation: its prompts fit the model's context with their answers."""

    prompts: list[Prompt]
    skipped: list[Prompt]
    passes: list[Pass]
    cap: int


class Evaluator:
    """Evaluates the trainer's model as it stands, with its engine, on one set of questions.

    All prompts are rendered and checked at the start, before anything is written.
    """

    def __init__(
        self,
        config: RunConfig,
        training: RLSCConfig,
        trainer: RLSCTrainer,
        questions: EvaluationSet,
        folder: Path,
    ) -> None:
        self._config, self._training, self._trainer = config, training, trainer
        self._set = questions
        self._folder = folder / "eval"
        self._shared = Path(config.base_evaluation) / "eval" if config.base_evaluation else None
        self._seed = training.seed if config.eval_seed is None else config.eval_seed
        passes = standard_passes(config.eval_samples, training.temperature)
        cap = config.eval_max_new_tokens or training.max_completion_length
        self._standard = self._plan(passes, cap)
        self._baselines: list[tuple[str, str, _Plan]] = []
        if config.eval_baselines:
            long_cap = self._longest_cap(max(LONG_CAP, cap))
            terse = self._plan(passes[:1], cap, f" {TERSE}")
            self._baselines = [
                (f"base, cap {long_cap}", "base-long-cap", self._plan(passes[:1], long_cap)),
                (f"base, “{TERSE}”", "base-terse-prompt", terse),
            ]

    @property
    def skipped(self) -> list[str]:
        """Ids of questions left out since their prompts do not fit the model's context."""
        return [prompt.id for prompt in self._standard.skipped]

    def standard(self, name: str) -> Evaluation:
        """Greedy and sampled; what an interrupted run has finished of it is read back."""
        return self._evaluate(name, self._standard)

    def at_step(self, step: int) -> None:
        """Make and store the standard evaluation of the policy as it is, after `step` updates."""
        self._evaluate(f"step-{step}", self._standard)

    def stored(self, step: int) -> dict[str, Any] | None:
        """The summary of what `at_step` has stored; None where there is nothing."""
        rows = _stored(self._folder, f"step-{step}", self._key(self._standard, step))
        plan = self._standard
        return summarise(rows, plan.passes, plan.cap).summary if rows else None

    def at_temperatures(self, temperatures: Sequence[float]) -> list[dict[str, Any]]:
        """The model as it is, sampled at each temperature; 0 is greedy, with one sample."""
        found = []
        for value in temperatures:
            name, samples = ("greedy", 1) if value == 0 else ("sampled", self._config.eval_samples)
            plan = replace(self._standard, passes=[Pass(name, value, samples)])
            summary = self._evaluate(f"temperature-{value:g}", plan).summary
            found.append({"temperature": value, **summary[name]})
        return found

    def baselines(self) -> list[dict[str, Any]]:
        """The untrained model with a longer cap, and with a prompt that asks to be short."""
        return [
            {"name": name, "file": file} | self._evaluate(file, plan).summary
            for name, file, plan in self._baselines
        ]

    def _plan(self, passes: list[Pass], cap: int, suffix: str = "") -> _Plan:
        context = context_length(self._trainer.model)
        skip = self._training.skip_long_prompts
        fitting, skipped = fit_context(self._prompts(suffix), cap, context, skip)
        return _Plan(fitting, skipped, passes, cap)

    def _longest_cap(self, wanted: int) -> int:
        """`wanted`, or as much of it as the model's context leaves."""
        context = context_length(self._trainer.model)
        if context is None:
            return wanted
        longest = max(len(prompt.token_ids) for prompt in self._standard.prompts)
        return min(wanted, context - longest)

    def _prompts(self, suffix: str) -> list[Prompt]:
        tokenizer, config = self._trainer.processing_class, self._config
        prompts = []
        for question in self._set.questions:
            question = Question(question.id, question.text + suffix)
            prompt = format_question(question, tokenizer, config.template, config.system_prompt)
            prompts.append(render(prompt, question.id, tokenizer))
        return prompts

    def _evaluate(self, name: str, plan: _Plan) -> Evaluation:
        file, key_file = self._folder / f"{name}.jsonl", self._folder / f"{name}.key.json"
        total = len(plan.prompts) * sum(one.samples for one in plan.passes)
        key = self._key(plan, self._trainer.state.global_step)
        # Another run's are the same model's only before training.
        shared = self._shared if not self._trainer.state.global_step else None
        for folder in (self._folder, shared):
            stored = _stored(folder, name, key)
            if len(stored) == total:
                write_jsonl(file, stored)
                write_json(key_file, key)
                return summarise(stored, plan.passes, plan.cap)
        wait()  # until all have read what there is
        if is_main():
            file.unlink(missing_ok=True)
        write_json(key_file, key)
        trainer = self._trainer
        trainer.engine.sync(trainer.accelerator.unwrap_model(trainer.model))
        engine = spread(trainer.engine)
        stop_ids = stop_token_ids(trainer.processing_class, trainer.model)
        with make_progress("completions") as progress:
            task = progress.add_task(f"evaluate {name}", total=total)
            return evaluate(
                engine,
                plan.prompts,
                self._set.answers,
                plan.passes,
                SamplingParams(plan.cap, stop_ids),
                self._seed,
                file,
                lambda done: progress.advance(task, done),
                trainer.processing_class,
            )

    def _key(self, plan: _Plan, step: int) -> dict[str, Any]:
        """What stored answers must agree in to be read back: the weights' step included."""
        origin = self._config.model
        prompts = json.dumps([[prompt.id, prompt.token_ids] for prompt in plan.prompts])
        answers = self._set.answers
        known = [prompt.id for prompt in plan.prompts if prompt.id in answers]
        references = json.dumps([[name, answers[name]] for name in known])
        return {
            "step": step,
            "model": [origin, weights_fingerprint(origin), self._config.model_dtype],
            "engine": [self._training.engine, bool(self._training.bf16)],
            "seed": self._seed,
            "max_new_tokens": plan.cap,
            "passes": [asdict(one) for one in plan.passes],
            "prompts_sha256": hashlib.sha256(prompts.encode()).hexdigest(),
            "references_sha256": hashlib.sha256(references.encode()).hexdigest(),
            "grading": VERSION,
        }


def _stored(folder: Path | None, name: str, key: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers that a folder has under this key; none where it has other ones."""
    key_file = folder / f"{name}.key.json" if folder else None
    if folder is None or key_file is None or not key_file.exists():
        return []
    same = json.loads(key_file.read_text("utf-8")) == key
    return read_jsonl(folder / f"{name}.jsonl") if same else []


class EvaluateBetween(TrainerCallback):
    """`--eval_steps`: the standard evaluation every so many updates, but for the last."""

    def __init__(self, evaluator: Evaluator | None, every: int) -> None:
        self._evaluator, self._every = evaluator, every
        self.seconds = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        if self._evaluator and self._every and not step % self._every and step < state.max_steps:
            start = time.perf_counter()
            self._evaluator.at_step(step)
            self.seconds += time.perf_counter() - start

    def curve(
        self, before: dict[str, Any], after: dict[str, Any], steps: int, kept: int
    ) -> list[dict[str, Any]]:
        """Summaries by step, from the untrained model on; `after` is of the `kept` step."""
        between = range(self._every, steps, self._every) if self._every else ()
        assert self._evaluator is not None
        stored = {step: self._evaluator.stored(step) for step in between}
        known = {step: summary for step, summary in stored.items() if summary}
        known |= {0: before, kept: after} if kept else {0: before}
        return [{"step": step, **known[step]} for step in sorted(known)]
