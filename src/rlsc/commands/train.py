"""A whole run: load, evaluate, train, evaluate, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from rlsc.commands.arguments import resolved
from rlsc.commands.finished import is_complete, say_complete, stamps_of
from rlsc.commands.hub import check_push, push, write_card
from rlsc.commands.probe_questions import probe_questions
from rlsc.commands.train_evaluation import (
    AFTER,
    BEFORE,
    VALIDATION,
    EvaluateBetween,
    OwnTask,
    RunEvaluation,
    evaluation_set,
    note_columns,
    training_questions,
    untrained_answers,
)
from rlsc.config import RunConfig, settings_of
from rlsc.data import PromptRow, QuestionSet, format_question, render
from rlsc.engines import engine_class
from rlsc.environments import Environment, create_environment
from rlsc.errors import ConfigError, RLSCError
from rlsc.evaluation import judging_of_task, load_tasks, questions_of_task
from rlsc.models import (
    load_base,
    load_policy,
    lora_config,
    policy_config,
    policy_tokenizer,
    save_merged,
)
from rlsc.objectives import RLSC, Objective, create_objective
from rlsc.planning import check_fits, this_device
from rlsc.records import (
    EvaluationFolder,
    EvaluationResults,
    GuardResults,
    TrainingFolder,
    TrainingResults,
    check_same,
    check_writable,
    question_parts,
    write_environment,
    write_results,
)
from rlsc.report import print_results, write_report
from rlsc.runtime import console, is_main, is_sharded, waiting
from rlsc.training import (
    ENGINE,
    WEIGHTS,
    RLSCConfig,
    RLSCTrainer,
    check_adapters,
    check_environment,
    check_judged,
    code_parts,
    label_parts,
    labels_in_use,
    reads_labels,
    supervised_parts,
    supervised_rows,
)
from rlsc.types import Prompt, Question, Task


@dataclass(frozen=True)
class Given:
    """What a run is given, read and checked before a model is loaded."""

    questions: QuestionSet
    own: OwnTask | None
    probe: Sequence[Question]
    probed: str
    benchmarks: Sequence[Task]
    machine: Mapping[str, str]
    """What the environment has found there."""
    parts: Mapping[str, str]
    """What the run is of, as far as it is known by now."""

    @property
    def by_name(self) -> dict[str, Sequence[Question]]:
        own = self.own.questions if self.own else ()
        return {"train": self.questions.train, "evaluation": own, "guard": tuple(self.probe)}


def read_given(config: RunConfig, training: RLSCConfig) -> Given:
    """Raises `RLSCError` for settings and data that cannot work."""
    environment = check_together(config, training)
    machine = environment.check()
    sft_rows = supervised_rows(training, environment)
    questions = training_questions(config, environment)
    objective = check_objective_of(training, questions)
    answers = labels_in_use(questions.answers, training)
    check_judged(environment, [question.id for question in questions.train], answers)
    benchmarks = load_benchmarks(config)
    own = evaluation_set(config, questions, benchmarks)
    probe, probed = probe_questions(config, training.guard_probe_size, questions, own)
    parts = {
        **(question_parts("training", questions.train) if environment.needs_rows else {}),
        **label_parts(
            reads_labels(objective, environment),
            [q.id for q in questions.train],
            answers,
        ),
        **({} if training.guard == "off" else question_parts("guard", probe)),
        **code_parts(objective, environment),
        **supervised_parts(sft_rows),
    }
    for task in [*(own.tasks if own else ()), *benchmarks]:
        parts |= questions_of_task(task) | judging_of_task(task)
    return Given(questions, own, probe, probed, benchmarks, machine, parts)


def run(config: RunConfig, training: RLSCConfig) -> None:
    """Everything `rlsc train` does. Raises `RLSCError` for input that cannot work.

    All input is read and checked before the folder is touched: a mistake costs no earlier run.
    """
    check_together(config, training)
    folder = TrainingFolder(Path(training.output_dir))
    started = time.monotonic()
    settings = resolved(config, training)
    folder.check(settings, config.resume, config.overwrite)
    given = read_given(config, training)
    going_on = config.resume and folder.holds_run
    if going_on:
        check_same(folder.path, given.parts, "--resume")
        if is_complete(folder, training.max_steps):
            say_complete(folder.path, config)
            return
    check_merge_to(config, training.output_dir)
    _check_memory(config, training, given.questions)
    if given.own is None and config.eval != "none":
        console.print("note: no --eval_questions: the run is judged by its game's figures alone")
    local = training.without_push()  # the run's end does it
    stamps = stamps_of(config)
    trainer, origin = _load(config, local, given.questions, probe=given.probe)
    evaluation = RunEvaluation(
        config, local, trainer, given.own, given.benchmarks, given.questions.train
    )
    parts = {**given.parts, **evaluation.parts, **trainer.identity}
    if going_on:
        check_same(folder.path, parts, "--resume")
    folder.prepare(settings, config.overwrite, parts | stamps)
    try:
        write_environment(folder.path, origin, given.by_name)
        _carry_out(config, training, folder, given, trainer, evaluation, (origin, started))
    finally:
        folder.release()


def _carry_out(
    config: RunConfig,
    training: RLSCConfig,
    folder: TrainingFolder,
    given: Given,
    trainer: RLSCTrainer,
    evaluation: RunEvaluation,
    begun: tuple[str, float],
) -> None:
    """Evaluate, train, evaluate, and write what came of it."""
    origin, started = begun
    steps, guard, seconds = _evaluate_and_train(trainer, evaluation, folder, config)
    if not is_main():
        return
    if config.use_peft and config.save_model:
        _merge(config, trainer, folder.path)
    skipped = tuple(prompt.id for prompt in trainer.skipped_prompts)
    results = TrainingResults(
        model=origin,
        questions=given.questions.name,
        training_questions=len(given.questions.train) - len(skipped),
        skipped_questions=skipped,
        labels_used=trainer.labels_used,
        steps=steps,
        seconds=seconds | {"total": time.monotonic() - started},
        model_saved=config.save_model and not config.load_in_4bit,
        guard=guard,
        probed=given.probed,
        evaluation=evaluation.own_results(folder),
        curve=evaluation.curve(folder, steps, guard.kept_step if guard else steps),
        benchmarks=evaluation.benchmark_results(folder),
        examined=trainer.kept.examined,
    )
    _conclude(config, training, folder.path, results, _adapter_folder(folder.path, trainer))


def load_benchmarks(config: RunConfig) -> list[Task]:
    """Those of `--benchmarks`, if any."""
    if not config.benchmarks:
        return []
    limit, sandbox = config.benchmark_limit, config.sandbox or "auto"
    return load_tasks(config.benchmarks, config.data_dir, limit, sandbox)


_PLANNED = 64  # prompts, of which the longest counts: what they change in a plan is little


def _check_memory(config: RunConfig, training: RLSCConfig, questions: QuestionSet) -> None:
    """Before weights are loaded: raise `ConfigError` where a GPU is too small for the plan."""
    device = this_device(training)
    if device.kind != "cuda":
        return
    model_config, _ = policy_config(config)
    tokenizer = policy_tokenizer(config)
    rows = [prompt_row(config, question, tokenizer) for question in questions.train[:_PLANNED]]
    kwargs = training.chat_template_kwargs
    prompts = [render(row["prompt"], row["id"], tokenizer, kwargs) for row in rows]
    longest = max((len(prompt.token_ids) for prompt in prompts), default=1)
    environment = create_environment(config, training.num_generations)
    if not environment.needs_rows:
        played = game_prompts(environment, tokenizer, training).values()
        longest = max((len(prompt.token_ids) for prompt in played), default=1)
    try:
        note = check_fits(config, training, model_config, device, longest)
    except RLSCError:
        raise
    except Exception as error:  # a forward that tensors without data cannot go through
        note = f"note: the model's memory cannot be planned ({type(error).__name__}: {error})"
    if note:
        console.print(note, soft_wrap=True)


def _adapted(config: RunConfig, trainer: RLSCTrainer, folder: Path) -> Any:
    """The tuned model with its adapter; where its weights are spread, read anew."""
    if not is_sharded(trainer.model):
        return trainer.model
    dtype = getattr(torch, config.model_dtype)
    base = load_base(config, dtype)
    return PeftModel.from_pretrained(base, _adapter_folder(folder, trainer))


def _adapter_folder(folder: Path, trainer: RLSCTrainer) -> Path:
    """Of the adapter that is evaluated and merged; those of several roles lie side by side."""
    return Path(folder, "adapter", *trainer.environment.adapters[:1])


def _merge(config: RunConfig, trainer: RLSCTrainer, folder: Path) -> None:
    """The adapter in plain weights: `model/`, but of a base in 4 bits, and `--merge_to`."""
    tokenizer = trainer.processing_class
    with waiting("merging the adapter"):
        if config.merge_to is not None:
            base = load_base(config, torch.float32)
            whole = PeftModel.from_pretrained(base, _adapter_folder(folder, trainer))
            save_merged(whole, tokenizer, Path(config.merge_to).expanduser())
        if not config.load_in_4bit:
            save_merged(_adapted(config, trainer, folder), tokenizer, folder / "model")


def _conclude(
    config: RunConfig, training: RLSCConfig, folder: Path, results: TrainingResults, adapter: Path
) -> None:
    """Write what came of it, and say it; `adapter` is the one to go on with, where it is all."""
    write_results(folder, results)
    write_report(folder)
    print_results(results)
    if results.model_saved:
        console.print(f"model   {folder / 'model'}", soft_wrap=True)
    elif config.save_model:
        again = f"--adapter {adapter} with the same --model and --load_in_4bit"
        console.print(f"adapter {adapter}: {again}", soft_wrap=True)
    if config.merge_to is not None and config.save_model:
        console.print(f"merged  {config.merge_to}", soft_wrap=True)
    console.print(f"report  {folder / 'report.html'}", soft_wrap=True)
    if results.model_saved:
        write_card(folder)
    if training.push_to_hub:
        with waiting("pushing the model"):
            url = push(folder, training)
        console.print(f"pushed  {url}", soft_wrap=True)


def check_together(config: RunConfig, training: RLSCConfig) -> Environment:
    """The environment; raises for settings that cannot work together, before all else."""
    environment = create_environment(config, training.num_generations)
    if config.questions is None and environment.needs_rows:
        raise ConfigError("--questions is missing: a file, a Hub data set, or arithmetic")
    if config.questions is not None and not environment.needs_rows:
        raise ConfigError(
            f"environment {config.environment} makes its own questions: leave --questions out, and "
            "name those to be evaluated on by --eval_questions"
        )
    if config.sandbox and not config.benchmarks and "sandbox" not in settings_of(type(environment)):
        raise ConfigError(
            f"sandbox {config.sandbox}: environment {config.environment} runs no programs: leave "
            "it out"
        )
    note_columns(config)
    check_environment(environment, create_objective(training), training)
    new = config.use_peft and config.adapter is None
    check_adapters(environment, new, engine_class(training))
    untrained_answers(config)
    unseen = training.rollout_policy == "base" and not training.guard_probe_size
    if training.guard == "stop" and unseen:
        raise ConfigError("guard stop sees nothing of the policy: leave --guard_probe_size out")
    game = environment.is_game
    if training.guard == "stop" and game and not (config.guard_questions and _probes(training)):
        raise ConfigError("guard stop sees nothing of a game: name --guard_questions to be asked")
    if training.push_to_hub and not config.save_model:
        raise ConfigError("--push_to_hub needs the model: leave --save_model false out")
    if training.push_to_hub and config.load_in_4bit:
        raise ConfigError("--push_to_hub needs whole weights: leave it or --load_in_4bit out")
    if training.push_to_hub:
        check_push(training)
    return environment


def _probes(training: RLSCConfig) -> bool:
    return training.guard_probe_size > 0


def check_merge_to(config: RunConfig, output_dir: str) -> None:
    """Raise where base and adapter would be merged over something, or could not be written."""
    if config.merge_to is None:
        return
    if not config.save_model:
        raise ConfigError("--merge_to needs the adapter: leave --save_model false out")
    folder, run = Path(config.merge_to).expanduser(), Path(output_dir).expanduser()
    if run.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ConfigError(f"--merge_to {folder} is within --output_dir: name another folder")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f"--merge_to {folder} is there and not empty: name another folder")
    check_writable(folder, "--merge_to")


def check_objective_of(training: RLSCConfig, questions: QuestionSet) -> Objective:
    """The objective, once there is what it needs: before a model is loaded."""
    ids = [question.id for question in questions.train]
    objective = create_objective(training)
    answers = labels_in_use(questions.answers, training)
    objective.check_labels(ids, answers, some=training.label_share is not None)
    return objective


def evaluate_untrained(
    config: RunConfig, training: RLSCConfig, temperatures: Sequence[float], folder: Path
) -> None:
    """The untrained model evaluated as a run does before training, at each temperature and at best.

    Leaves a folder of an evaluation, whose answers runs take over by `--base_evaluation`.
    """
    environment = create_environment(config, training.num_generations)
    if config.questions is None and environment.needs_rows:
        raise ConfigError("questions is missing: a file, a Hub data set, or arithmetic")
    questions = training_questions(config, environment)
    config = replace(config, base_evaluation=None)
    benchmarks = load_benchmarks(config)
    own = evaluation_set(config, questions, benchmarks)
    if own is None:
        raise ConfigError(
            "a comparison needs an evaluation: leave eval none out, and give a game eval_questions"
        )
    if not any(question.id in own.task.answers for question in own.questions):
        raise ConfigError("a comparison needs evaluation questions with answers")
    if not config.eval_samples:
        raise ConfigError("a comparison needs samples: eval_samples must be 1 or more")
    base = EvaluationFolder(folder)
    if base.holds_run:
        base.check_kind()
    else:
        base.check_empty()
    any_objective = RLSC() if environment.needs_rows else None  # nothing is trained
    trainer, origin = _load(config, training, questions, any_objective)
    trained_on = questions.train
    evaluation = RunEvaluation(config, training, trainer, own, benchmarks, trained_on)
    known = trainer.identity
    parts = evaluation.parts | {name: known[name] for name in (WEIGHTS, ENGINE) if name in known}
    for task in [*own.tasks, *benchmarks]:
        parts |= questions_of_task(task) | judging_of_task(task)
    if base.holds_run:  # what its best way is chosen on may be others, and is then asked anew
        same = {name: parts[name] for name in parts if name.split()[0] != VALIDATION}
        check_same(folder, same, "the comparison", "give the same again, or begin another")
    base.prepare(resolved(config, training), overwrite=False, parts=parts)
    try:
        asked = {task.name: task.questions for task in [own.task, *benchmarks]}
        write_environment(folder, origin, asked)
        tasks = evaluation.of_untrained(base.samples, temperatures)
        write_results(folder, EvaluationResults(origin, tasks))
    finally:
        base.release()


def _load(
    config: RunConfig,
    training: RLSCConfig,
    questions: QuestionSet,
    objective: Objective | None = None,
    probe: Sequence[Question] = (),
) -> tuple[RLSCTrainer, str]:
    """The trainer with its model and prompts, and in words where the model came from."""
    console.print(f"loading {config.model or 'SmolLM2-135M-Instruct'} …")
    dtype = getattr(torch, config.model_dtype)
    model, tokenizer, origin = load_policy(config, dtype, trainable=True)
    adapter = None
    if config.use_peft and config.adapter is None:
        adapter = lora_config(model, *config.lora)
    environment = None  # one to be trained in is checked with what it is trained for
    if objective is None:
        environment = create_environment(config, training.num_generations)
    game = environment is not None and not environment.needs_rows
    rows = None if game else prompt_rows(config, questions, tokenizer)
    try:
        trainer = RLSCTrainer(
            model,
            training,
            rows,
            tokenizer,
            objective=objective,
            peft_config=adapter,
            environment=environment,
            answer_key=questions.answers,  # for objectives that need labels, which say so
            probe_dataset=[prompt_row(config, question, tokenizer) for question in probe],
        )
        _say_trained(trainer)
        trainer.check_optimizer()  # one that is not installed, or takes other settings
        return trainer, origin
    except RLSCError:
        raise
    except (
        ImportError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        # Such as a tracker that is not installed.
        raise ConfigError(" ".join(str(error).split())) from error


def _say_trained(trainer: RLSCTrainer) -> None:
    if isinstance(trainer.model, PeftModel):
        trained, of = trainer.model.get_nb_trainable_parameters()
        engine = type(trainer.engine).__name__
        console.print(f"training {trained:,} of {of:,} parameters, sampling by {engine}")


def prompt_rows(config: RunConfig, questions: QuestionSet, tokenizer: Any) -> list[PromptRow]:
    """The training questions as the trainer takes them."""
    rows = []
    for question in questions.train:
        row = prompt_row(config, question, tokenizer)
        if question.id in questions.preferences:
            row["chosen"], row["rejected"] = questions.preferences[question.id]
        if question.id in questions.paraphrases:
            other = prompt_row(config, questions.paraphrases[question.id], tokenizer)
            row["paraphrase"] = other["prompt"]
        rows.append(row)
    return rows


def game_prompts(
    environment: Environment, tokenizer: Any, training: RLSCConfig
) -> dict[str, Prompt]:
    """One prompt of each role and kind of a game, by its name; none where it does not say."""
    bounds, kwargs = environment.bounds(), training.chat_template_kwargs
    prompts = bounds.prompts if bounds else {}
    return {name: render(prompt, name, tokenizer, kwargs) for name, prompt in prompts.items()}


def prompt_row(config: RunConfig, question: Question, tokenizer: Any) -> PromptRow:
    prompt = format_question(question, tokenizer, config.template, config.system_prompt)
    return {"id": question.id, "prompt": prompt}


def _evaluate_and_train(
    trainer: RLSCTrainer, evaluation: RunEvaluation, folder: TrainingFolder, config: RunConfig
) -> tuple[int, GuardResults | None, dict[str, float]]:
    """Evaluate, train, evaluate: the steps made, the guard's conclusion, and seconds by part."""
    clock = time.monotonic()
    evaluation.before(folder.stage(BEFORE))
    seconds = {"evaluate_before": time.monotonic() - clock}

    clock = time.monotonic()
    between = EvaluateBetween(evaluation, folder)
    trainer.add_callback(between)
    steps = trainer.train(resume_from_checkpoint=config.resume or None).global_step
    guard = trainer.guard.results(steps) if trainer.guard else None
    if config.save_model:
        adapter = isinstance(trainer.model, PeftModel)
        with waiting("saving the model"):
            trainer.save_model(str(folder.path / ("adapter" if adapter else "model")))
    trainer.forget_optimizer()
    seconds["train"] = time.monotonic() - clock - between.seconds
    seconds["evaluate_between"] = between.seconds

    clock = time.monotonic()
    evaluation.after(folder.stage(AFTER))
    seconds["evaluate_after"] = time.monotonic() - clock
    return steps, guard, seconds
