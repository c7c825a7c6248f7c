"""Folders as a training run, an evaluation and a comparison leave them, without having run one."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rlsc.records.jsonl import write_jsonl
from rlsc.records.results import (
    EVALUATION,
    Best,
    ComparedMethod,
    ComparedRun,
    ComparedTo,
    ComparisonPoint,
    ComparisonResults,
    CurvePoint,
    EvaluationResults,
    GuardResults,
    GuardVerdict,
    ModelScores,
    Results,
    TaskFacts,
    TaskResults,
    TrainingResults,
    write_results,
)
from rlsc.records.rows import AnswerRow, write_rows
from rlsc.records.run_folder import ComparisonFolder, EvaluationFolder, TrainingFolder
from rlsc.types import (
    Calibration,
    Difference,
    Estimate,
    LengthChange,
    ReliabilityBin,
    Score,
    Setting,
)

STEPS, N = 20, 39
GREEDY = Setting("chat", 0.0, 1, 64, name="greedy")
SAMPLED = Setting("chat", 1.0, 8, 64, name="sampled")
COOLER = Setting("chat", 0.5, 8, 64, name="sampled_at_training_temperature")
LONG = Setting("chat", 0.0, 1, 256, name="long-cap")
TERSE = replace(GREEDY, name="terse-prompt", suffix=" Answer with just the number.")


def share(value: float, half: float = 0.12) -> Estimate:
    return Estimate(value, (max(value - half, 0.0), min(value + half, 1.0)))


def score(setting: Setting, accuracy: float | None, length: float, n: int = N) -> Score:
    ks = sorted({1, 2, setting.samples}) if setting.samples > 1 else [1]
    accuracy_, graded = (None, 0) if accuracy is None else (share(accuracy), n)
    value = accuracy or 0.0
    bins = [ReliabilityBin(i / 10, i / 10 + 0.1, 4, i / 10 + 0.05, i / 10) for i in range(4, 10)]
    right = round(value * n * setting.samples)
    return Score(
        setting=setting,
        questions=n,
        n=graded,
        accuracy=accuracy_,
        pass_at={k: share(1 - (1 - value) ** k) for k in ks},
        majority_at={k: share(min(value + 0.02 * k, 1)) for k in ks},
        verdicts={
            "correct": right,
            "wrong": n * setting.samples - right - 2,
            "unparsed": 2,
            "timeout": 0,
        },
        timeouts=(),
        mean_length=length,
        median_length=length - 1,
        truncation_rate=0.1,
        boxed_rate=0.0,
        repetition=0.02,
        calibration=Calibration(24, 0.71, 0.12, tuple(bins)) if accuracy is not None else None,
        seconds=3.0,
    )


def difference(
    before: str,
    after: str,
    value: float,
    p: float,
    *,
    half: float = 0.1,
    n: int = N,
    majority: bool = False,
) -> Difference:
    lengths = LengthChange(n, 29.3, 13.2, Estimate(-16.1, (-20.0, -12.0)), 0.001, 0.1, 0.0)
    return Difference(
        before=before,
        after=after,
        n=n,
        accuracy=Estimate(value, (value - half, value + half)),
        majority=share(0.1) if majority else None,
        mcnemar_p=p,
        gained=("q1", "q2"),
        lost=("q3",),
        lengths={"all": lengths, "right": replace(lengths, n=n // 2)},
    )


def facts(name: str, title: str, **changes: object) -> TaskFacts:
    base = TaskFacts(name, title, "math", f"hub:{name}@1", 1, N, N, N, True, 64, 7)
    return replace(base, **changes)


def own_evaluation(to_base: float = 0.31, to_best: float = 0.03) -> TaskResults:
    tuned = ModelScores(
        (score(GREEDY, 0.615, 13), score(SAMPLED, 0.58, 14), score(COOLER, 0.6, 13))
    )
    asked = (score(GREEDY, 0.308, 29), score(SAMPLED, 0.22, 33), score(COOLER, 0.29, 30))
    others = (score(LONG, 0.333, 41), score(TERSE, 0.41, 9))
    best = Best("sampled_at_training_temperature", True, share(0.585))
    names = ("greedy", "sampled", "sampled_at_training_temperature")
    return TaskResults(
        facts(EVALUATION, "evaluation", relation="held-out questions, split seed 0", available=81),
        tuned,
        ModelScores(asked + others, best),
        tuple(difference(n, n, to_base, 0.0005, majority=n != "greedy") for n in names),
        difference("sampled_at_training_temperature majority", "greedy", to_best, 0.75),
    )


def benchmark(name: str = "gsm8k", gain: float = 0.05, *, base: bool = True) -> TaskResults:
    setting = Setting("chat", 0.8, 4, 256)
    other = Setting("none", 0.5, 4, 256)
    before = ModelScores(
        (score(setting, 0.4, 80), score(other, 0.44, 90)), Best(other.label, True, share(0.46))
    )
    after = ModelScores((score(setting, 0.4 + gain, 60), score(other, 0.42 + gain, 70)))
    after = replace(after, best=Best(setting.label, False, share(0.4 + gain)))
    change = difference(setting.label, setting.label, gain, 0.2, half=0.04, majority=True)
    return TaskResults(
        facts(name, name.upper(), expected=1319, complete=False, trained_on=("q1", "q7")),
        after,
        before if base else None,
        (change,) if base else (),
        difference(other.label, setting.label, gain - 0.04, 0.6) if base else None,
        difference(f"{other.label} majority", setting.label, gain - 0.03, 0.6) if base else None,
    )


def guard() -> GuardResults:
    verdicts = {
        step: GuardVerdict(
            "healthy" if step < 12 else "narrowing" if step < 17 else "collapsed",
            step >= 17,
            step % 2 == 0,
            ("distinct answers fell to 0.31",) if step >= 12 else (),
        )
        for step in range(STEPS)
    }
    scores = {step: 0.5 + step / 50 for step in range(STEPS)}
    return GuardResults(
        "observe", STEPS, 24, verdicts, scores, 12, None, "no sign of harm at the last step seen"
    )


def training(**changes: object) -> TrainingResults:
    points = [
        CurvePoint(
            step,
            (
                score(GREEDY, 0.308 + 0.31 * step / STEPS, 29 - step * 0.8),
                score(SAMPLED, 0.22 + 0.36 * step / STEPS, 30),
            ),
        )
        for step in range(0, STEPS + 1, 5)
    ]
    results = TrainingResults(
        model="the embedded SmolLM2-135M-Instruct",
        questions="arithmetic:single_digit",
        training_questions=42,
        skipped_questions=(),
        steps=STEPS,
        seconds={"evaluate_before": 20.0, "train": 150.0, "evaluate_after": 19.0, "total": 190.0},
        model_saved=False,
        guard=guard(),
        probed="held-out questions",
        evaluation=own_evaluation(),
        curve=tuple(points),
        benchmarks={"gsm8k": benchmark()},
        labels_used=0,
    )
    return replace(results, **changes)


def metrics() -> list[dict[str, object]]:
    rng = random.Random(0)
    rows = []
    for step in range(STEPS):
        part = step / STEPS
        rows.append(
            {
                "step": step,
                "loss": 1 - part,
                "mean_p": 0.2 + 0.6 * part + rng.random() * 0.05,
                "f_hat": 0.3 + 0.5 * part + rng.random() * 0.05,
                "entropy": 0.6 - 0.4 * part,
                "completion_length": 30 - 15 * part + rng.random() * 3,
                "distinct_completions": 0.9 - 0.5 * part,
                "distinct_answers": 0.7 - 0.5 * part,
                "majority_share": 0.5 + 0.4 * part,
                "truncation_rate": 0.1 * (1 - part),
                "effective_sample_size": 3.0 + rng.random(),
                "reward": None,
                "grad_norm": 2 + rng.random(),
                "support": 0.8 - 0.1 * part,
                "flips": 0.05 if step else None,
                "divergence": 0.02 * step,
                "sampled_tokens": 4000,
                "sample_seconds": 4.0,
                "seconds": 7.5,
            }
        )
    return rows


def evaluation(*, base: bool = True, names: Sequence[str] = ("gsm8k",)) -> EvaluationResults:
    tasks = {name: benchmark(name, 0.06, base=base) for name in names}
    compared = ComparedTo("runs/base", "SmolLM2", ("seed 0 → 1",)) if base else None
    return EvaluationResults("runs/demo/model", tasks, compared)


def comparison(missing: int = 0) -> ComparisonResults:
    temperatures = (0.0, 0.5, 1.0)
    settings = (GREEDY, replace(COOLER, name="T0.5"), SAMPLED)
    base = ModelScores(
        tuple(score(s, a, 29) for s, a in zip(settings, (0.308, 0.36, 0.22), strict=True)),
        Best("T0.5", False, share(0.36)),
    )
    task = TaskResults(
        facts(EVALUATION, "evaluation", relation="held-out questions, split seed 0"), base
    )
    labels = ("rlsc", "ttrl", "intuitor", "empo", "rent", "em_ft", "one_shot", "srt", "constant")
    methods = []
    for place, label in enumerate(labels):
        runs = []
        for seed in range(3):
            end = 0.55 - 0.04 * place + 0.02 * seed
            curve = tuple(
                ComparisonPoint(
                    step,
                    step * (7.0 + place),
                    0.308 + (end - 0.308) * math.sqrt(step / STEPS),
                    0.22 + (end - 0.25) * math.sqrt(step / STEPS),
                    0.3,
                    29 - step * 0.5,
                )
                for step in range(0, STEPS + 1, 5)
            )
            runs.append(ComparedRun(seed, curve, 0.4))
        if place == 8:
            runs[2] = ComparedRun(2, failed="out of memory")
        end = runs[1].final.greedy
        names = ("greedy", "pass_at_1", "majority", "distinct", "mean_length", "seconds")
        summary = dict.fromkeys(names, share(end, 0.05))
        summary |= {"mean_length": Estimate(19.0), "seconds": Estimate(140.0)}
        method = ComparedMethod(
            label, {"objective": label}, tuple(runs), summary, is_control=label == "constant"
        )
        methods.append(method)
    if missing:
        last = methods[-1]
        methods[-1] = replace(last, runs=(*last.runs[:1], ComparedRun(1), ComparedRun(2)))
    return ComparisonResults(
        "arithmetic:single_digit",
        EvaluationResults("SmolLM2", {EVALUATION: task}),
        temperatures,
        (0, 1, 2),
        tuple(methods),
    )


CONFIG = {"objective": "rlsc", "questions": "arithmetic", "max_steps": STEPS, "num_generations": 8}
ENVIRONMENT = {
    "command": ["rlsc", "train", "--questions", "arithmetic"],
    "git_commit": "0123456789abcdef",
    "python": "3.11.7",
    "packages": {"rlsc": "0.1.0", "torch": "2.9.0"},
    "device": "cpu",
    "cpu": {"model": "Invented", "capability": "AVX512", "bf16": False, "cores": 4, "threads": 2},
    "cpu_count": 8,
}


def write_run(folder: Path, results: Results | None) -> Path:
    """A run's folder; of a training run still under way where there are no results."""
    kinds = {EvaluationResults: EvaluationFolder, ComparisonResults: ComparisonFolder}
    place = kinds.get(type(results), TrainingFolder)(folder)
    place.prepare(CONFIG, overwrite=False)
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT), "utf-8")
    if isinstance(place, TrainingFolder):
        write_jsonl(folder / "metrics.jsonl", metrics())
    if isinstance(results, TrainingResults):
        for stage, text in (("before", "It is 2, I think."), ("after", "\\boxed{2}")):
            write_rows(place.rows(stage, EVALUATION, "greedy"), rows(text, stage == "after"))
    if results is not None:
        write_results(folder, results)
    return folder


def rows(text: str, right: bool) -> list[AnswerRow]:
    """Of three questions."""
    return [
        answer_row(f"q{number}", text, 8 + number, "correct" if right else "wrong")
        for number in range(3)
    ]


def answer_row(
    name: str, text: str, tokens: int = 5, verdict: str | None = "correct", **more: object
) -> AnswerRow:
    fields = {"prompt": f"What is {name}?", "answer": text[:50], "finish_reason": "stop"} | more
    return AnswerRow(
        id=name,
        sample=0,
        text=text,
        tokens=tokens,
        logprob=-1.0,
        max_new_tokens=64,
        seconds=0.1,
        verdict=verdict,
        **fields,
    )
