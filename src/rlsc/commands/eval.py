"""`rlsc eval`: a model on benchmarks, its samples, scores and report; and `--regrade`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from rlsc.commands.arguments import resolved_eval
from rlsc.config.run import EvalConfig
from rlsc.data.questions import load_questions
from rlsc.engines import create_engine
from rlsc.errors import ConfigError, OutputError, QuestionError
from rlsc.evaluation.baseline import SAMPLES, Baseline
from rlsc.evaluation.benchmark_run import (
    BenchmarkEvaluator,
    Protocol,
    Setting,
    control_settings,
    load_benchmarks,
    references,
    resolve_template,
    rows_file,
    summarise_benchmark,
)
from rlsc.evaluation.benchmarks.loading import BenchmarkSet
from rlsc.evaluation.samples import read_rows, regrade
from rlsc.grading import Grader
from rlsc.models.loading import load_model, weights_fingerprint
from rlsc.records import folder as runfolder
from rlsc.records.environment import check_same_questions, write_environment
from rlsc.records.files import write_json, write_text
from rlsc.records.jsonl import write_jsonl
from rlsc.report.benchmarks import print_benchmarks
from rlsc.report.html import write_html
from rlsc.report.markdown_eval import write_eval_report
from rlsc.runtime.console import console, make_progress
from rlsc.training.arguments import cpu_has_bf16, device_has_bf16
from rlsc.types import Question

_ARTEFACTS = (
    "report.md",
    "report.html",
    "plot.png",
    runfolder.RESULTS,
    SAMPLES,
    runfolder.ENVIRONMENT,
    "settings.json",
    runfolder.CONFIG,
)
_FREE = {"resume", "overwrite", "compare_to", "trained_on", "output_dir"}


def run_eval(config: EvalConfig) -> None:
    """Everything `rlsc eval` does. Raises `RLSCError` for input that cannot work.

    All input is read and checked before the folder is touched.
    """
    if config.benchmarks is None:
        raise ConfigError("--benchmarks is missing: a comma list, such as math500,gsm8k, or all")
    folder, started = Path(config.output_dir), time.monotonic()
    settings = resolved_eval(config)
    _check_folder(folder, settings, config)
    sets = load_benchmarks(config.benchmarks, config.data_dir, config.limit)
    if config.resume:
        check_same_questions(folder, {one.benchmark.name: one.questions for one in sets})
    trained_on = _trained_on(config)
    baseline = _baseline(config, folder, sets)
    console.print(f"loading {config.model or 'the embedded SmolLM2-135M-Instruct'} …")
    dtype = _dtype(config.dtype)
    model, tokenizer, origin = load_model(config.model, dtype, config.trust_remote_code)
    if torch.cuda.is_available():
        model = model.to("cuda")
    protocol = _protocol(config, tokenizer)
    engine = create_engine(config, model, tokenizer, dtype)
    evaluator = BenchmarkEvaluator(sets, protocol, model, tokenizer, engine)
    weights = weights_fingerprint(config.model)
    if config.resume:
        _check_same_weights(folder, weights)
    _prepare(folder, settings, config.overwrite)
    write_environment(folder, origin, {one.benchmark.name: one.questions for one in sets})
    labels = [[s.template, s.temperature, s.samples] for s in protocol.settings]
    write_json(
        folder / "settings.json",
        {"settings": labels, "model": origin, "weights": weights},
    )
    with Grader() as grader:
        evaluator.run(folder / SAMPLES, grader)
        _finish(folder, config, sets, protocol.settings, trained_on, baseline, grader, origin)
    console.print(f"{time.monotonic() - started:.0f} s")


def run_regrade(folder: Path) -> None:
    """Judge the samples of an evaluation anew, without sampling, and write its report again."""
    try:
        settings = yaml.safe_load((folder / runfolder.CONFIG).read_text("utf-8"))
        stored = json.loads((folder / "settings.json").read_text("utf-8"))
        config = EvalConfig(**settings)
        how = [Setting(*values) for values in stored["settings"]]
        origin = stored["model"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise OutputError(f"--regrade {folder}: it holds no evaluation by rlsc eval") from error
    if config.benchmarks is None:
        raise OutputError(f"--regrade {folder}: its config.yaml names no benchmarks")
    sets = load_benchmarks(config.benchmarks, config.data_dir, config.limit)
    for one in sets:
        for setting in how:
            _check_whole(one, setting, rows_file(folder / SAMPLES, one, setting))
    baseline = _baseline(config, folder, sets)
    with Grader() as grader:
        for one in sets:
            for setting in how:
                _regrade_file(one, rows_file(folder / SAMPLES, one, setting), grader)
        _finish(folder, config, sets, how, _trained_on(config), baseline, grader, origin)


def _check_same_weights(folder: Path, weights: str | None) -> None:
    try:
        stored = json.loads((folder / "settings.json").read_text("utf-8")).get("weights")
    except (OSError, ValueError, AttributeError):
        return  # it died before it had written them, and so before it had begun
    if stored != weights:
        raise OutputError(
            f"--resume: the model's weights have changed since the evaluation in {folder} began; "
            "start again with --overwrite or another --output_dir"
        )


def _baseline(config: EvalConfig, folder: Path, sets: Sequence[BenchmarkSet]) -> Baseline | None:
    if config.compare_to is None:
        return None
    other = Path(config.compare_to).expanduser()
    if other.resolve() == folder.resolve():
        raise ConfigError(f"--compare_to {other} is --output_dir itself: choose another folder")
    return Baseline(other, sets)


def _regrade_file(one: BenchmarkSet, file: Path, grader: Grader) -> None:
    rows = read_rows(file)
    with make_progress("verdicts") as progress:
        task = progress.add_task(f"{one.benchmark.name}", total=len(rows))
        judged = []
        for row in regrade(rows, references(one), grader):
            judged.append(row)
            progress.advance(task)
    changed = sum(a["verdict"] != b["verdict"] for a, b in zip(rows, judged, strict=True))
    write_jsonl(file, judged)
    console.print(f"{file}: {changed} of {len(rows)} verdicts changed", soft_wrap=True)


def _check_whole(one: BenchmarkSet, setting: Setting, file: Path) -> None:
    expected = [(q.id, number) for q in one.questions for number in range(setting.samples)]
    if [(row["id"], row["sample"]) for row in read_rows(file)] != expected:
        raise OutputError(
            f"{file} does not hold answers to all {len(one.questions)} questions: "
            "finish the evaluation with --resume first"
        )


def _finish(
    folder: Path,
    config: EvalConfig,
    sets: Sequence[BenchmarkSet],
    settings: Sequence[Setting],
    trained_on: Sequence[Question],
    baseline: Baseline | None,
    grader: Grader,
    origin: str,
) -> None:
    """Scores from the rows on disk, results.json, the report, and the table on the screen."""
    results: dict[str, Any] = {
        "model": origin,
        "benchmarks": {
            one.benchmark.name: summarise_benchmark(
                one,
                settings,
                folder / SAMPLES,
                config.max_new_tokens,
                trained_on,
                references(one).unreadable(grader),
            )
            for one in sets
        },
    }
    if baseline is not None:
        results["compared_to"] = baseline.describe(resolved_eval(config))
        results["comparison"] = {
            one.benchmark.name: baseline.compare(
                folder, one, results["benchmarks"][one.benchmark.name]
            )
            for one in sets
        }
    write_json(folder / runfolder.RESULTS, results)
    write_eval_report(folder)
    write_html(folder)
    print_benchmarks(results)
    console.print(f"report  {folder / 'report.html'}", soft_wrap=True)


def _protocol(config: EvalConfig, tokenizer: Any) -> Protocol:
    template = resolve_template(config.template, tokenizer)
    if config.system_prompt is not None and template != "chat":
        raise ConfigError("system_prompt needs a chat template, and none is in use")
    main = Setting(template, config.temperature, config.samples)
    return Protocol(
        settings=(
            control_settings(main, config.samples, tokenizer) if config.controls else (main,)
        ),
        max_new_tokens=config.max_new_tokens,
        seed=config.seed,
        system_prompt=config.system_prompt,
        shots=config.shots,
        top_p=config.top_p,
        top_k=config.top_k,
        block_rows=4 * config.rollout_batch_size,  # long enough to keep the engine full
    )


def _trained_on(config: EvalConfig) -> tuple[Question, ...]:
    """`--trained_on`, else the questions of the run whose model/ folder is evaluated."""
    source = config.trained_on
    settings: Mapping[str, Any] = {}
    if source is None and config.model is not None:
        recipe = Path(config.model).expanduser().parent / runfolder.CONFIG
        if Path(config.model).name == "model" and recipe.is_file():
            settings = _settings_of_run(recipe)
            source = settings.get("questions")
    if source is None or source == "none":
        return ()
    try:
        return _questions(str(source), settings)
    except QuestionError as error:
        raise QuestionError(
            f"the questions that the model was trained on: {error}; name them with --trained_on, "
            "or --trained_on none if overlap need not be looked for"
        ) from error


def _settings_of_run(recipe: Path) -> Mapping[str, Any]:
    try:
        settings = yaml.safe_load(recipe.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        settings = None
    if not isinstance(settings, dict):
        raise ConfigError(f"{recipe} is damaged: name the training questions with --trained_on")
    return settings


def _questions(source: str, settings: Mapping[str, Any]) -> tuple[Question, ...]:
    return load_questions(
        source,
        split=settings.get("questions_split", "train"),
        config=settings.get("questions_config"),
        question_column=settings.get("question_column", "question"),
        answer_column=settings.get("answer_column", "answer"),
        split_seed=settings.get("split_seed", 0),
    ).train


def _dtype(name: str) -> torch.dtype:
    if name != "auto":
        return torch.float32 if name == "float32" else torch.bfloat16
    fast = device_has_bf16() if torch.cuda.is_available() else cpu_has_bf16()
    return torch.bfloat16 if fast else torch.float32


def _check_folder(folder: Path, settings: Mapping[str, Any], config: EvalConfig) -> None:
    runfolder.check_writable(folder)
    if not (folder / runfolder.CONFIG).exists():
        foreign = [name for name in _ARTEFACTS if (folder / name).exists()]
        if foreign:
            raise OutputError(f"{folder} holds {foreign[0]} but no evaluation: choose another")
        return
    if (
        "questions:" in (folder / runfolder.CONFIG).read_text("utf-8")
        or (folder / "metrics.jsonl").exists()
    ):
        raise OutputError(f"{folder} holds a training run: choose another --output_dir")
    if config.resume:
        runfolder.check_same_settings(folder, settings, _FREE)
    elif not config.overwrite:
        raise OutputError(
            f"{folder} holds an evaluation: go on with it by --resume, replace it by "
            "--overwrite, or choose another --output_dir"
        )


def _prepare(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if overwrite and (folder / runfolder.CONFIG).exists():
        for name in _ARTEFACTS:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    text = yaml.safe_dump(dict(settings), allow_unicode=True)
    write_text(folder / runfolder.CONFIG, text)
