"""A whole run: load, evaluate, train, evaluate, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from rlsc.commands.arguments import resolved
from rlsc.commands.hub import check_push, push, write_card
from rlsc.commands.probe_questions import probe_questions
from rlsc.commands.train_benchmarks import TrainingBenchmarks
from rlsc.commands.train_evaluation import EvaluateBetween, Evaluator, evaluation_set, questions_of
from rlsc.config.run import RunConfig
from rlsc.data.prompts import format_question
from rlsc.data.questions import QuestionSet
from rlsc.errors import ConfigError, RLSCError
from rlsc.evaluation.benchmark_run import load_benchmarks
from rlsc.evaluation.changes import run_changes
from rlsc.evaluation.evaluate import differences
from rlsc.models.adapters import lora_config, save_merged
from rlsc.models.loading import load_model
from rlsc.objectives import RLSC, Objective, create_objective
from rlsc.records import folder as runfolder
from rlsc.records.checkpoints import last_checkpoint
from rlsc.records.environment import check_same_questions, write_environment
from rlsc.report import print_table, write_report
from rlsc.report.benchmarks import difference_text
from rlsc.report.guard import guard_text
from rlsc.runtime.console import console
from rlsc.runtime.processes import is_main
from rlsc.runtime.sharding import is_sharded
from rlsc.training.arguments import RLSCConfig
from rlsc.training.trainer import RLSCTrainer
from rlsc.types import Question


def run(config: RunConfig, training: RLSCConfig) -> None:
    """Everything `rlsc train` does. Raises `RLSCError` for input that cannot work.

    All input is read and checked before the folder is touched: a mistake costs no earlier run.
    """
    source = check_together(config, training)
    folder = Path(training.output_dir)
    started = time.monotonic()
    settings = resolved(config, training)
    finished = runfolder.check(folder, settings, config.resume, config.overwrite)
    questions = questions_of(config, source)
    check_objective_of(training, questions)
    evaluated = evaluation_set(config, questions)
    probe, probed = probe_questions(config, training.guard_probe_size, questions, evaluated)
    used = {
        "train": questions.train,
        "evaluation": evaluated.questions if evaluated else (),
        "guard": tuple(probe),
    }
    if config.resume:
        check_same_questions(folder, used)
    if finished:
        if is_main():
            write_report(folder)
        console.print(f"{folder} holds a finished run: nothing to do. Its report: report.html")
        return
    limit = config.benchmark_limit
    sets = load_benchmarks(config.benchmarks, config.data_dir, limit) if config.benchmarks else []
    pushes, training.push_to_hub = training.push_to_hub, False  # the run's end does it
    trainer, origin = _load(config, training, questions, probe=probe)
    evaluator = Evaluator(config, training, trainer, evaluated, folder) if evaluated else None
    benchmarks = (
        TrainingBenchmarks(config, training, trainer, questions.train, folder, sets)
        if config.benchmarks
        else None
    )
    runfolder.prepare(folder, settings, config.overwrite)
    write_environment(folder, origin, used)
    results = _train_and_evaluate(
        trainer, evaluator, benchmarks, folder, config.resume, config.save_model
    )
    if not is_main():
        return
    if config.use_peft and config.save_model:
        save_merged(_adapted(config, trainer, folder), trainer.processing_class, folder / "model")
    skipped = trainer.skipped_prompts
    results |= {
        "model_saved": config.save_model,
        "model": origin,
        "questions": questions.name,
        "training_questions": len(questions.train) - len(skipped),
        "skipped_questions": [prompt.id for prompt in skipped],
        "probed": probed,
        "evaluated_on": evaluated.relation if evaluated else None,
        "evaluated_of": evaluated.total if evaluated else None,
        "skipped_evaluation_questions": evaluator.skipped if evaluator else [],
        "seconds": results["seconds"] | {"total": time.monotonic() - started},
    }
    _conclude(config, training, folder, results, pushes)


def _adapted(config: RunConfig, trainer: RLSCTrainer, folder: Path) -> Any:
    """The tuned model with its adapter; where its weights are spread, read anew."""
    if not is_sharded(trainer.model):
        return trainer.model
    dtype = getattr(torch, config.model_dtype)
    base, _, _ = load_model(config.model, dtype, config.trust_remote_code)
    return PeftModel.from_pretrained(base, folder / "adapter")


def _conclude(
    config: RunConfig, training: RLSCConfig, folder: Path, results: dict[str, Any], pushes: bool
) -> None:
    """Write what came of it, and tell it."""
    results["changes"] = run_changes(folder, results)
    runfolder.write_json(folder / runfolder.RESULTS, results)
    write_report(folder)
    _tell(folder, results)
    if config.save_model:
        write_card(folder)
    if pushes:
        console.print(f"pushed  {push(folder, training)}", soft_wrap=True)


def check_together(config: RunConfig, training: RLSCConfig) -> str:
    """The source of questions; raises for settings that exclude each other, or a push in vain."""
    if config.questions is None:
        raise ConfigError("--questions is missing: FILE.jsonl, a Hub data set, or arithmetic")
    unseen = training.rollout_policy == "base" and not training.guard_probe_size
    if training.guard == "stop" and unseen:
        raise ConfigError("guard stop sees nothing of the policy: leave --guard_probe_size out")
    if training.push_to_hub and not config.save_model:
        raise ConfigError("--push_to_hub needs the model: leave --save_model false out")
    if training.push_to_hub:
        check_push(training)
    return config.questions


def check_objective_of(training: RLSCConfig, questions: QuestionSet) -> None:
    """That there is such an objective, with what it needs: before a model is loaded."""
    ids = [question.id for question in questions.train]
    create_objective(training).check_labels(ids, questions.answers)


def _tell(folder: Path, results: Mapping[str, Any]) -> None:
    """What came of it, on the console."""
    print_table(results)
    if results["guard"] and results["guard"]["verdicts"]:
        console.print(f"guard   {guard_text(results)}", highlight=False, soft_wrap=True)
    for name, one in results.get("benchmarks", {}).items():
        mark = " (trained on some of it)" if one["after"]["transductive"] else ""
        console.print(f"{name}{mark}: {difference_text(one['difference'])}")
    if results["model_saved"]:
        console.print(f"model   {folder / 'model'}", soft_wrap=True)
    console.print(f"report  {folder / 'report.html'}", soft_wrap=True)


def evaluate_untrained(
    config: RunConfig, training: RLSCConfig, temperatures: Sequence[float], folder: Path
) -> None:
    """The untrained model evaluated as a run does before training, and at each temperature.

    Leaves results.json, and under eval/ what runs take over by `--base_evaluation`.
    """
    if config.questions is None:
        raise ConfigError("questions is missing: FILE.jsonl, a Hub data set, or arithmetic")
    questions = questions_of(config, config.questions)
    evaluated = evaluation_set(config, questions)
    if evaluated is None:
        raise ConfigError("a comparison needs an evaluation: leave eval none out")
    if not any(question.id in evaluated.answers for question in evaluated.questions):
        raise ConfigError("a comparison needs evaluation questions with answers")
    config = replace(config, base_evaluation=None)
    trainer, origin = _load(config, training, questions, RLSC())  # any: nothing is trained
    evaluator = Evaluator(config, training, trainer, evaluated, folder)
    results = {
        "model": origin,
        "questions": questions.name,
        "evaluated_on": evaluated.relation,
        "evaluated_of": evaluated.total,
        "before": evaluator.standard("before").summary,
        "temperatures": evaluator.at_temperatures(temperatures),
    }
    runfolder.write_json(folder / runfolder.RESULTS, results)


def _load(
    config: RunConfig,
    training: RLSCConfig,
    questions: QuestionSet,
    objective: Objective | None = None,
    probe: Sequence[Question] = (),
) -> tuple[RLSCTrainer, str]:
    """The trainer with its model and prompts, and in words where the model came from."""
    console.print(f"loading {config.model or 'the embedded SmolLM2-135M-Instruct'} …")
    dtype = getattr(torch, config.model_dtype)
    model, tokenizer, origin = load_model(config.model, dtype, config.trust_remote_code)
    rows = prompt_rows(config, questions, tokenizer)
    adapter = (
        lora_config(model, config.lora_r, config.lora_alpha, config.lora_target_modules)
        if config.use_peft
        else None
    )
    try:
        trainer = RLSCTrainer(
            model,
            training,
            rows,
            tokenizer,
            objective=objective,
            peft_config=adapter,
            answer_key=questions.answers,  # for objectives that need labels, which say so
            probe_dataset=[prompt_row(config, one, tokenizer) for one in probe],
        )
        trainer.get_optimizer_cls_and_kwargs(training, trainer.model)  # one that is not installed
        return trainer, origin
    except RLSCError:
        raise
    except (ImportError, RuntimeError, ValueError) as error:  # such as a tracker not installed
        raise ConfigError(" ".join(str(error).split())) from error


def prompt_rows(config: RunConfig, questions: QuestionSet, tokenizer: Any) -> list[dict[str, Any]]:
    """The training questions as the trainer takes them."""
    rows = []
    for question in questions.train:
        pair = questions.preferences.get(question.id, ())
        both = dict(zip(("chosen", "rejected"), pair, strict=False))
        rows.append(prompt_row(config, question, tokenizer) | both)
    return rows


def prompt_row(config: RunConfig, question: Question, tokenizer: Any) -> dict[str, Any]:
    prompt = format_question(question, tokenizer, config.template, config.system_prompt)
    return {"id": question.id, "prompt": prompt}


def _train_and_evaluate(
    trainer: RLSCTrainer,
    evaluator: Evaluator | None,
    benchmarks: TrainingBenchmarks | None,
    folder: Path,
    resume: bool,
    save_model: bool,
) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    results: dict[str, Any] = {"seconds": seconds}
    every = int(trainer.args.eval_steps or 0) if evaluator else 0
    between = EvaluateBetween(evaluator, every)
    trainer.add_callback(between)
    clock = time.monotonic()
    before = evaluator.standard("before") if evaluator else None
    results["baselines"] = evaluator.baselines() if evaluator else []
    base = benchmarks.evaluate() if benchmarks else None
    seconds["evaluate_before"] = time.monotonic() - clock

    clock = time.monotonic()
    checkpoint = last_checkpoint(folder) if resume else None
    if resume and checkpoint is None:
        trainer.begin_afresh()
    output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    steps = results["steps"] = output.global_step
    results["guard"] = trainer.guard.results(steps) if trainer.guard else None
    kept = results["guard"]["kept_step"] if results["guard"] else steps
    adapter = isinstance(trainer.model, PeftModel)
    if save_model:
        trainer.save_model(str(folder / ("adapter" if adapter else "model")))
    trainer.optimizer = trainer.lr_scheduler = None  # twice the weights, of no use from here on
    trainer.accelerator.free_memory()
    seconds["evaluate_between"] = between.seconds
    seconds["train"] = time.monotonic() - clock - between.seconds

    clock = time.monotonic()
    if evaluator and before:
        after = evaluator.standard("after")
        results["before"], results["after"] = before.summary, after.summary
        results["difference"] = differences(before, after)
        results["curve"] = between.curve(before.summary, after.summary, steps, kept)
    if benchmarks and base:
        tuned = benchmarks.evaluate()
        results["benchmarks"] = benchmarks.results(base, tuned) if is_main() else {}
    seconds["evaluate_after"] = time.monotonic() - clock
    return results
