"""A whole run: load, evaluate, train, evaluate, report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import get_last_checkpoint

from rlsc import runfolder
from rlsc.arguments import resolved
from rlsc.config import RLSCConfig, RunConfig
from rlsc.display import console, make_progress
from rlsc.engines import SamplingParams
from rlsc.errors import ConfigError
from rlsc.evaluate import Evaluation, Pass, differences, evaluate, standard_passes, summarise
from rlsc.models import context_length, load_model
from rlsc.prompts import fit_context, format_question, render, stop_token_ids
from rlsc.questions import QuestionSet, load_questions
from rlsc.report import print_table, write_report
from rlsc.runlog import read_jsonl
from rlsc.trainer import RLSCTrainer
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


def run(config: RunConfig, training: RLSCConfig) -> None:
    """Everything `rlsc train` does. Raises `RLSCError` for input that cannot work."""
    if config.questions is None:
        raise ConfigError("--questions is missing: FILE.jsonl, a Hub data set, or arithmetic")
    folder = Path(training.output_dir)
    settings = resolved(config, training)
    started = time.time()
    # Read before the folder is touched: bad input must not cost an earlier run.
    runfolder.check_writable(folder)
    questions = _questions(config, config.questions)
    evaluation = _evaluation_set(config, questions)
    console.print(f"loading {config.model or 'the embedded SmolLM2-135M-Instruct'} …")
    dtype = getattr(torch, config.model_dtype)
    model, tokenizer, origin = load_model(config.model, dtype, config.trust_remote_code)
    rows = [
        {
            "id": question.id,
            "prompt": format_question(question, tokenizer, config.template, config.system_prompt),
        }
        for question in questions.train
    ]
    trainer = RLSCTrainer(model, training, rows, tokenizer)
    if runfolder.prepare(folder, settings, config.resume, config.overwrite):
        console.print(f"{folder} holds a finished run: nothing to do. Its report: report.md")
        return
    runfolder.write_environment(
        folder,
        origin,
        {"train": questions.train, "evaluation": evaluation.questions if evaluation else ()},
        time.time() - started,
    )
    results = _train_and_evaluate(config, training, trainer, evaluation, folder)
    results |= {
        "model": origin,
        "training_questions": len(questions.train) - len(trainer.skipped_prompts),
        "skipped_questions": [prompt.id for prompt in trainer.skipped_prompts],
        "questions": questions.name,
        "evaluated_on": evaluation.relation if evaluation else None,
        "evaluated_of": evaluation.total if evaluation else None,
        "seconds": results["seconds"] | {"total": time.time() - started},
    }
    runfolder.write_json(folder / runfolder.RESULTS, results)
    write_report(folder)
    print_table(results)
    console.print(f"model   {folder / 'model'}\nreport  {folder / 'report.md'}", soft_wrap=True)


def _train_and_evaluate(
    config: RunConfig,
    training: RLSCConfig,
    trainer: RLSCTrainer,
    evaluation: EvaluationSet | None,
    folder: Path,
) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    results: dict[str, Any] = {"seconds": seconds}
    before = None
    if evaluation is not None:
        clock = time.time()
        evaluator = Evaluator(config, training, trainer, evaluation, folder)
        before = evaluator.standard("before")
        results["baselines"] = evaluator.baselines() if config.eval_baselines else []
        seconds["evaluate_before"] = time.time() - clock
    clock = time.time()
    checkpoint = get_last_checkpoint(str(folder)) if config.resume else None
    output = trainer.train(resume_from_checkpoint=checkpoint)
    seconds["train"] = time.time() - clock
    results["steps"] = output.global_step
    trainer.save_model(str(folder / "model"))
    if evaluation is not None and before is not None:
        clock = time.time()
        after = evaluator.standard("after")
        seconds["evaluate_after"] = time.time() - clock
        results["before"], results["after"] = before.summary, after.summary
        results["difference"] = differences(before, after)
        results["skipped_evaluation_questions"] = sorted(evaluator.skipped)
    return results


class Evaluator:
    """Evaluates the trainer's model as it stands, with its engine, on one set of questions."""

    def __init__(
        self,
        config: RunConfig,
        training: RLSCConfig,
        trainer: RLSCTrainer,
        evaluation: EvaluationSet,
        folder: Path,
    ) -> None:
        self._config, self._training, self._trainer = config, training, trainer
        self._set = evaluation
        self._folder = folder / "eval"
        self._passes = standard_passes(config.eval_samples, training.temperature)
        self.skipped: set[str] = set()
        self._cap = config.eval_max_new_tokens or training.max_completion_length

    def standard(self, name: str) -> Evaluation:
        """Greedy and sampled; what an interrupted run has finished of it is read back."""
        return self._evaluate(name, self._passes, self._cap)

    def baselines(self) -> list[dict[str, Any]]:
        """The untrained model with a longer cap, and with a prompt that asks to be short."""
        variants = [
            (f"base, cap {LONG_CAP}", "base-long-cap", LONG_CAP, ""),
            (f"base, “{TERSE}”", "base-terse-prompt", self._cap, f" {TERSE}"),
        ]
        greedy = self._passes[:1]
        return [
            {"name": name} | self._evaluate(file, greedy, cap, suffix).summary
            for name, file, cap, suffix in variants
        ]

    def _evaluate(
        self, name: str, passes: Sequence[Pass], cap: int, suffix: str = ""
    ) -> Evaluation:
        prompts = self._prompts(cap, suffix)
        file = self._folder / f"{name}.jsonl"
        total = len(prompts) * sum(one.samples for one in passes)
        stored = read_jsonl(file)
        if len(stored) == total:
            return summarise(stored, passes, cap)
        trainer = self._trainer
        trainer.engine.sync(trainer.accelerator.unwrap_model(trainer.model))
        params = SamplingParams(cap, stop_token_ids(trainer.processing_class, trainer.model))
        with make_progress("completions") as progress:
            task = progress.add_task(f"evaluate {name}", total=total)
            return evaluate(
                trainer.engine,
                prompts,
                self._set.answers,
                passes,
                params,
                self._training.seed,
                file,
                lambda done: progress.advance(task, done),
            )

    def _prompts(self, cap: int, suffix: str) -> list[Prompt]:
        tokenizer, config = self._trainer.processing_class, self._config
        prompts = []
        for question in self._set.questions:
            question = Question(question.id, question.text + suffix)
            prompt = format_question(question, tokenizer, config.template, config.system_prompt)
            prompts.append(render(prompt, question.id, tokenizer))
        context = context_length(self._trainer.model)
        fitting, skipped = fit_context(prompts, cap, context, self._training.skip_long_prompts)
        self.skipped |= {prompt.id for prompt in skipped}
        return fitting


def _questions(config: RunConfig, source: str) -> QuestionSet:
    return load_questions(
        source,
        split=config.questions_split,
        config=config.questions_config,
        question_column=config.question_column,
        answer_column=config.answer_column,
        split_seed=config.split_seed,
    )


def _evaluation_set(config: RunConfig, training: QuestionSet) -> EvaluationSet | None:
    if config.eval == "none":
        return None
    if config.eval_questions is not None:
        other = _questions(config, config.eval_questions)
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
    seen = {" ".join(question.text.lower().split()) for question in training.train}
    shared = sum(" ".join(question.text.lower().split()) in seen for question in questions)
    return name + (
        f" ({shared} of {len(questions)} also trained on: transductive)" if shared else ""
    )
