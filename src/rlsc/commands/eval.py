"""`rlsc eval`: a model on benchmarks, its samples, scores and report; and `--regrade`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rlsc.commands.arguments import resolved
from rlsc.commands.guided import Guided
from rlsc.commands.train_evaluation import questions_of
from rlsc.config import EvalConfig, QuestionArguments, check_settings
from rlsc.engines import create_engine
from rlsc.errors import ConfigError, OutputError, QuestionError, RLSCError
from rlsc.evaluation import (
    BENCHMARK_ADVICE,
    Baseline,
    Collecting,
    GuidedArms,
    benchmark_setting,
    check_chat_settings,
    check_kept,
    collect,
    control_settings,
    guided_results,
    judging_of_task,
    load_tasks,
    overlap,
    prepare,
    prompts_of,
    questions_of_task,
    regrade,
    resolve_template,
    score_side,
    task_facts,
    task_results,
)
from rlsc.grading import shared_grader
from rlsc.models import load_policy, weights_hash
from rlsc.records import (
    ANEW,
    EvaluationFolder,
    EvaluationResults,
    TaskResults,
    TrainingFolder,
    check_same,
    locked,
    read_rows,
    write_environment,
    write_identity,
    write_results,
)
from rlsc.report import print_results, write_report
from rlsc.runtime import console, cpu_has_bf16
from rlsc.training import WEIGHTS, device_has_bf16, engine_parts, tokenizer_parts
from rlsc.types import Question, Setting, Task


def run_eval(config: EvalConfig) -> None:
    """Everything `rlsc eval` does. Raises `RLSCError` for input that cannot work.

    All input is read and checked before the folder is touched.
    """
    if config.benchmarks is None:
        raise ConfigError("--benchmarks is missing: a comma list, such as math500,gsm8k, or all")
    dtype = _dtype(config.dtype)
    folder, started = EvaluationFolder(Path(config.output_dir)), time.monotonic()
    settings = resolved(config)
    folder.check(settings, config.resume, config.overwrite)
    tasks = _tasks(config, config.benchmarks)
    guided = Guided(config, tasks) if config.critic else None
    given: dict[str, str] = {}
    for task in tasks:
        given |= questions_of_task(task) | judging_of_task(task)
    if config.resume and folder.holds_run:
        check_same(folder.path, given, "--resume", _advice(folder))
    trained_on = _trained_on(config)
    baseline = _baseline(config, folder.path, tasks)
    console.print(f"loading {config.model or 'SmolLM2-135M-Instruct'} …")
    model, tokenizer, origin = load_policy(config, dtype)
    if torch.cuda.is_available():
        model = model.to("cuda")
    ways = _settings(config, tokenizer)
    engine = create_engine(config, model, tokenizer, dtype)
    prepared = partial(
        prepare,
        model=model,
        tokenizer=tokenizer,
        lower_cap=True,
        advice=BENCHMARK_ADVICE,
        chat_template_kwargs=config.chat_template_kwargs,
    )
    asked = [each for task in tasks for each in prepared(task, ways)]
    weights = weights_hash(model)
    own = engine_parts(engine)
    parts = given | prompts_of(asked) | tokenizer_parts(tokenizer) | own
    parts[WEIGHTS] = weights
    if guided:
        parts |= guided.prepare(prepared, ways[0], dtype)
    origin_of_rows = {"step": 0, "model": [weights, str(dtype)], "engine": [config.engine], **own}
    # Long blocks keep the engine full.
    how = Collecting(config.seed, origin_of_rows, 4 * config.rollout_batch_size, tokenizer)
    if config.resume:
        if folder.holds_run:
            check_same(folder.path, parts, "--resume")
        check_kept(asked, folder.samples, how)
    folder.prepare(settings, config.overwrite, parts)
    try:
        write_environment(folder.path, origin, {task.name: task.questions for task in tasks})
        for each in asked:
            collect(engine, each, folder.samples, shared_grader(), how)
        used = {task.name: [each.setting for each in asked if each.task is task] for task in tasks}
        arms = guided.collect(engine, tokenizer, folder.samples, how) if guided else {}
        _finish(folder, config, tasks, used, trained_on, baseline, origin, arms)
    finally:
        folder.release()
    console.print(f"{time.monotonic() - started:.0f} s")


def _tasks(config: EvalConfig, names: str) -> list[Task]:
    return load_tasks(names, config.data_dir, config.limit, config.sandbox or "auto")


def _advice(folder: EvaluationFolder) -> str:
    """Where references alone have changed, answers need not be sampled again."""
    if not folder.finished:
        return ANEW
    return f"{ANEW}; by new references rlsc eval --regrade {folder.path} judges the old answers"


def run_regrade(path: Path) -> None:
    """Judge the samples of an evaluation anew, without sampling, and write its report again."""
    folder = EvaluationFolder(path)
    try:
        folder.check_kind()
        config, results = EvalConfig(**folder.read_settings()), folder.results()
    except (OutputError, TypeError) as error:
        raise OutputError(f"--regrade {path}: it holds no finished evaluation: {error}") from error
    if config.benchmarks is None:
        raise OutputError(f"--regrade {path}: its config.yaml names no benchmarks")
    tasks = _tasks(config, config.benchmarks)
    if list(results.tasks) != [task.name for task in tasks]:
        raise OutputError(f"--regrade {path}: its results are not those of its config.yaml")
    used = {
        name: [score.setting for score in task.tuned.scores] for name, task in results.tasks.items()
    }
    arms = {name: GuidedArms.of(task.guided) for name, task in results.tasks.items() if task.guided}
    files = {
        folder.rows(task.name, setting.label): (task, setting)
        for task in tasks
        for setting in (
            *used[task.name],
            *(arms[task.name].settings if task.name in arms else ()),
        )
    }
    for file, (task, setting) in files.items():
        _check_all_answered(task, setting, file)
    for task in tasks:
        check_same(path, questions_of_task(task), "--regrade", "its answers are to other texts")
    baseline, trained_on = _baseline(config, path, tasks), _trained_on(config)
    judging = {name: value for task in tasks for name, value in judging_of_task(task).items()}
    with locked(path):
        # Verdicts and results are of other references until all are written.
        write_identity(path, dict.fromkeys(judging, "being judged anew"))
        _regrade(files)
        _finish(folder, config, tasks, used, trained_on, baseline, results.model, arms)
        write_identity(path, judging)


def _regrade(files: Mapping[Path, tuple[Task, Setting]]) -> None:
    for file, (task, setting) in files.items():
        changed = regrade(task, file, shared_grader())
        of = len(task.questions) * setting.samples
        console.print(f"{file}: {changed} of {of} verdicts or votes changed", soft_wrap=True)


def _baseline(config: EvalConfig, folder: Path, tasks: Sequence[Task]) -> Baseline | None:
    if config.compare_to is None:
        return None
    other = Path(config.compare_to).expanduser()
    if other.resolve() == folder.resolve():
        raise ConfigError(f"--compare_to {other} is --output_dir itself: choose another folder")
    return Baseline(other, tasks)


def _check_all_answered(task: Task, setting: Setting, file: Path) -> None:
    expected = [(q.id, number) for q in task.questions for number in range(setting.samples)]
    if [(row.id, row.sample) for row in read_rows(file)] != expected:
        raise OutputError(
            f"{file} does not hold answers to all {len(task.questions)} questions: "
            "finish the evaluation with --resume first"
        )


def _finish(
    folder: EvaluationFolder,
    config: EvalConfig,
    tasks: Sequence[Task],
    used: Mapping[str, Sequence[Setting]],
    trained_on: Sequence[Question],
    baseline: Baseline | None,
    origin: str,
    arms: Mapping[str, GuidedArms],
) -> None:
    """Scores from the rows on disk, results.json, the report, and the table on the screen."""
    by_task: dict[str, TaskResults] = {}
    for task in tasks:
        shared = overlap(trained_on, task.questions)
        facts = task_facts(task, config.max_new_tokens, shared, shared_grader())
        references = task.answers if task.steps else None
        side = score_side(folder.samples, task.name, used[task.name], references)
        outcome = task_results(facts, side, baseline.side(task.name) if baseline else None)
        if task.name in arms:
            guided = guided_results(folder.samples, task.name, arms[task.name])
            outcome = replace(outcome, guided=guided)
        by_task[task.name] = outcome
    compared = baseline.describe(resolved(config)) if baseline else None
    results = EvaluationResults(origin, by_task, compared)
    write_results(folder.path, results)
    write_report(folder.path)
    print_results(results)
    console.print(f"report  {folder.path / 'report.html'}", soft_wrap=True)


def _settings(config: EvalConfig, tokenizer: Any) -> Sequence[Setting]:
    """The one asked for, and with `--controls` the others."""
    template = resolve_template(config.template, tokenizer)
    check_chat_settings(
        template,
        system_prompt=config.system_prompt,
        chat_template_kwargs=config.chat_template_kwargs,
    )
    main = benchmark_setting(
        template,
        config.temperature,
        config.samples,
        config.max_new_tokens,
        config.system_prompt,
        shots=config.shots,
        top_p=config.top_p,
        top_k=config.top_k,
    )
    if not config.controls:
        return (main,)
    return control_settings(main, config.system_prompt, tokenizer)


def _trained_on(config: EvalConfig) -> tuple[Question, ...]:
    """`--trained_on`, else the questions of the run whose model/ folder is evaluated."""
    source, how, data_dir = config.trained_on, QuestionArguments(), config.data_dir
    if source is None and (config.adapter or config.model):
        run = TrainingFolder.of_model(Path(config.adapter or config.model or ""))
        how = _questions_of_run(run) if run else how
        source = how.questions
        data_dir = run.read_settings().get("data_dir") if run else data_dir
    if source is None or source == "none":
        return ()
    try:
        return questions_of(how, source, False, data_dir).train
    except QuestionError as error:
        raise QuestionError(
            f"the questions that the model was trained on: {error}; name them with --trained_on, "
            "or --trained_on none if overlap need not be looked for"
        ) from error


def _questions_of_run(run: TrainingFolder) -> QuestionArguments:
    try:
        settings, known = run.read_settings(), {field.name for field in fields(QuestionArguments)}
        how = QuestionArguments(**{name: settings[name] for name in settings.keys() & known})
        check_settings(how)
    except RLSCError as error:
        raise ConfigError(f"{error}; name the training questions with --trained_on") from error
    return how


def _dtype(name: str) -> torch.dtype:
    if name == "float16" and not torch.cuda.is_available():
        raise ConfigError("dtype float16 is for CUDA: here bfloat16 or float32")
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    fast = device_has_bf16() if torch.cuda.is_available() else cpu_has_bf16()
    return torch.bfloat16 if fast else torch.float32
