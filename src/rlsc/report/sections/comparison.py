"""The page of a comparison of objectives, at any time: what its runs have come to so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from rlsc.records import (
    AS_TRAINED,
    AT_BEST,
    AT_TRAINING_TEMPERATURE,
    BEST_VOTE,
    EVALUATION,
    UNTRAINED_BEST,
    VOTE,
    ComparedMethod,
    ComparedRun,
    ComparisonFolder,
    ComparisonPoint,
    ComparisonResults,
    RunFolder,
    read_results_of,
)
from rlsc.report.charts import COLOURS, INK, Chart, Measured, Series
from rlsc.report.page import Block, Bullets, Curves, Heading, Headline, Page, Paragraph, Table
from rlsc.report.sections.games import compared_examined
from rlsc.report.sections.provenance import hardware_rows, made
from rlsc.report.sections.scores import settings_table, tried
from rlsc.report.sections.words import (
    MUCH_CUT,
    NOTHING,
    change,
    cut_off,
    decimal,
    percent,
    setting_name,
    share,
)
from rlsc.types import Difference

REFRESH = 10
_QUALITY = (("greedy", "Greedy accuracy"), ("pass_at_1", "pass@1, T = 1"))
_HEADER = (
    *("objective", "greedy, %", "pass@1, T = 1, %", "majority, %", "tokens, greedy"),
    *("distinct at the end, %", "s of training", "runs"),
)


def comparison_page(folder: ComparisonFolder) -> Page:
    results = read_results_of(ComparisonResults, folder.path)
    missing = sum(not run.done and run.failed is None for run in results.runs)
    failed = [
        f"{method.label}, seed {run.seed}: {run.failed}"
        for method in [*results.methods, *(results.transductive or ())]
        for run in method.runs
        if run.failed
    ]
    by_step, by_seconds = (
        [_chart(results, axis, *quality) for quality in (*_QUALITY, ("mean_length", "Length"))]
        for axis in ("step", "seconds")
    )
    blocks = [
        headline(results),
        Curves([*by_step[:2], *by_seconds[:2]]),
        Heading("Objectives"),
        *table_blocks(results),
        Bullets(failed),
        *_paired(results),
        *_transductive(results),
        *_untrained(results),
        Heading("Length by step and by seconds of training"),
        Curves([by_step[2], by_seconds[2]]),
        Heading("Every run, step by step"),
        _every_step(results),
        *_made(folder, results),
    ]
    return Page("Objectives compared", blocks, REFRESH if missing else 0)


def headline(results: ComparisonResults) -> Headline:
    """How many objectives end above the untrained model at its best."""
    done = sum(run.done for run in results.runs)
    failed = sum(run.failed is not None for run in results.runs)
    ended = [method for method in results.methods if method.summary]
    best = results.base_best.figure
    above = [m for m in ended if m.summary["greedy"].value > best.value]
    clear = [m for m in above if (i := m.summary["greedy"].interval) and i[0] > best.value]
    text = f"{len(above)} of {len(ended)} objectives end above the base at its best"
    text += f", {len(clear)} of them with their whole interval over seeds" if above else ""
    if done < len(results.runs):
        text += f"; {done} of {len(results.runs)} runs done"
    seeds = ", ".join(map(str, results.seeds))
    facts = [
        ("model", results.base.model),
        ("questions", results.questions),
        ("judged by", f"{results.base.tasks[EVALUATION].tuned.main.n} questions"),
        ("seeds", seeds),
        ("runs", f"{done} of {len(results.runs)} done" + (f", {failed} failed" if failed else "")),
    ]
    return Headline(f"{text}.", _numbers(results), facts=facts)


def _numbers(results: ComparisonResults) -> list[Measured]:
    """The best objective first, then the base at its best, then the others."""
    rows = [
        Measured.of(method.label, method.summary["greedy"], colour % COLOURS)
        for colour, method in enumerate(results.methods)
        if method.summary
    ]
    rows.sort(key=lambda row: -row.value)
    rows.insert(1, Measured.of("base at its best", results.base_best.figure, INK))
    return rows


# Tables.


def table_blocks(results: ComparisonResults) -> Iterator[Block]:
    """A row for each temperature of the untrained model, then one for each objective."""
    base = list(_base_rows(results))
    rows = [*base, *(_method_row(method, len(method.runs)) for method in results.methods)]
    bold = [i for i, row in enumerate(base) if row[0].endswith(_ITS_BEST)]
    yield Table(_HEADER, rows, bold=frozenset(bold), brief=(0, 1, 2, 3, 7))
    yield Paragraph(_caption(results))
    yield from compared_examined(results)
    yield from _collapses(results)


def _collapses(results: ComparisonResults) -> Iterator[Block]:
    """When each run collapsed, by labels and by the guard, and the area under pass@1 until then."""
    rows = [
        (
            method.label,
            _steps([run.collapse for run in method.runs if run.done]),
            _steps([run.guard_collapse for run in method.runs if run.done]),
            percent(method.summary.get("until_collapse")),
        )
        for method in results.methods
        if method.summary
    ]
    if not rows:
        return
    yield Heading("Collapse")
    header = ("objective", "step, by labels", "step, by the guard", "pass@1 until then, %")
    yield Table(header, rows)
    yield Paragraph(
        "Of each seed, in their order; – where there was none. By labels: the first evaluated "
        "step whose pass@1 is below the untrained model's and at most half of the highest before. "
        "By the guard: the first step that it called collapsed, without labels. The last column is "
        "the area under pass@1 by step, until the collapse by labels or the end, over the steps "
        "that it spans."
    )


def _paired(results: ComparisonResults) -> Iterator[Block]:
    """Each run against the untrained model, question by question."""
    rows = [
        (
            *(method.label, str(run.seed), against, str(each.n)),
            change(each.majority if against == VOTE else each.accuracy) + _cut_of(run, against),
            *(_flips(each), decimal(each.mcnemar_p)),
            change(each.lengths["right"].difference, 1) if "right" in each.lengths else NOTHING,
        )
        for method in results.methods
        for run in method.runs
        for against, each in (run.differences or {}).items()
    ]
    if not rows:
        return
    yield Heading("Question by question, against the untrained model")
    header = ("objective", "seed", "against", "n", "points", "gained, lost", "p", "tokens if right")
    yield Table(header, rows, brief=(0, 1, 2, 4))
    yield Paragraph(
        "After training minus before, paired by question. Brackets: 95 % intervals of the "
        "bootstrap over questions; p: McNemar's exact test, of majorities where k > 1; "
        f"{NOTHING} where single answers are held against the mean of several. "
        "Tokens: of questions that are right on both sides. A base at its best was chosen on other "
        "questions, and asked on these."
    )


def _cut_of(run: ComparedRun, against: str) -> str:
    """Of the main answers of the row's task; a base at its best is another way, told above."""
    best = against.endswith(AT_BEST)
    task = against.removesuffix(AT_BEST if best else AS_TRAINED).removesuffix(", ")
    shares = (run.cut or {}).get(EVALUATION if task in ("", VOTE) else task, ())
    return cut_off(*(shares[1:] if best else shares))


def _flips(difference: Difference) -> str:
    if difference.mcnemar_p is None:
        return NOTHING
    return f"{len(difference.gained)}, {len(difference.lost)}"


def _transductive(results: ComparisonResults) -> Iterator[Block]:
    """Objectives that were trained on the questions they are judged by, before and after."""
    rows = []
    for method in results.transductive or ():
        for run in method.runs:
            if run.done:
                first, last = run.curve[0], run.final
                shares = [
                    f"{100 * getattr(first, name):.1f} → {100 * getattr(last, name):.1f}"
                    for name in _SHARES
                ]
                paired = (run.differences or {}).get(AS_TRAINED)
                rows.append(
                    (
                        *(method.label, str(run.seed), str(paired.n) if paired else NOTHING),
                        *shares,
                        change(paired.accuracy) + _cut_of(run, AS_TRAINED) if paired else NOTHING,
                        f"{first.mean_length:.0f} → {last.mean_length:.0f}",
                    )
                )
    if not rows:
        return
    yield Heading("Trained on the questions that it is judged by (transductive)")
    header = ("objective", "seed", "n", *_HEADER[1:4], "greedy, points", "tokens, greedy")
    yield Table(header, rows, brief=(0, 1, 3, 6))
    yield Paragraph("Without their labels. It says nothing of other questions, and is in no mean.")


def _untrained(results: ComparisonResults) -> Iterator[Block]:
    """How the untrained model was asked at its best, and its scores on the benchmarks."""
    own = results.base.tasks[EVALUATION]
    benchmarks = {name: task for name, task in results.base.tasks.items() if name != EVALUATION}
    if not (own.tried or benchmarks):
        return
    yield Heading("The untrained model")
    yield from tried(own)
    for name, task in benchmarks.items():
        yield Heading(f"{name}, n = {task.tuned.main.n}", 3)
        yield settings_table(task.tuned)


def _steps(steps: Sequence[int | None]) -> str:
    return ", ".join("–" if step is None else str(step) for step in steps)


_ITS_BEST = " ← its best"


def _base_rows(results: ComparisonResults) -> Iterator[list[str]]:
    """No training, only sampling; the best setting has a row where it is at no temperature."""
    best, asked = results.base_best, results.base.tasks[EVALUATION].tuned
    rows = {f"untrained, T = {value:g}": score for value, score in results.untrained.items()}
    if best.setting not in [score.setting.label for score in rows.values()]:
        score = asked.of(best.setting)
        as_trained = "as in training, " if best.setting == AT_TRAINING_TEMPERATURE else ""
        rows[f"untrained, {as_trained}T = {score.setting.temperature:g}"] = score
    for score in asked.scores:
        if score.setting.label in (UNTRAINED_BEST, BEST_VOTE) and score not in rows.values():
            rows[f"untrained, chosen on other questions: {setting_name(score.setting)}"] = score
    for name, score in rows.items():
        greedy = score.setting.temperature == 0
        name += " (greedy)" if greedy and "greedy" not in name else ""
        if score.setting.label == best.setting:
            name += f"{', majority' if best.majority else ''}{_ITS_BEST}"
        value = percent(score.accuracy) + cut_off(score.truncation_rate)
        length = f"{score.mean_length:.1f}" if greedy else ""
        vote = percent(score.majority) if score.majority else ""
        yield [name, value if greedy else "", "" if greedy else value, vote, length, "", "", ""]


def _method_row(method: ComparedMethod, seeds: int) -> list[str]:
    failed = [run.failed for run in method.runs if run.failed]
    count = f"{sum(run.done for run in method.runs)} of {seeds}"
    count += f"; failed: {failed[0]}" if failed else ""
    summary = method.summary
    if not summary:
        return [method.label, *[""] * 6, count]
    shares = [str(Measured.of("", summary[name], 0)).replace(" %", "", 1) for name in _SHARES]
    cut = [run.cut[EVALUATION][1] for run in method.runs if run.cut and EVALUATION in run.cut]
    shares[0] += cut_off(fmean(cut)) if cut else ""
    length, seconds = (f"{summary[n].value:.{d}f}" for n, d in (("mean_length", 1), ("seconds", 0)))
    distinct = f"{100 * summary['distinct'].value:.0f}" if "distinct" in summary else ""
    return [method.label, *shares, length, distinct, seconds, count]


_SHARES = ("greedy", "pass_at_1", "majority")


def _caption(results: ComparisonResults) -> str:
    task = results.base.tasks[EVALUATION]
    samples = max(score.setting.samples for score in task.tuned.scores)
    seeds = ", ".join(map(str, results.seeds))
    seconds = [run.total_seconds or 0.0 for run in results.runs]
    hours = (results.base_seconds + sum(seconds)) / 3600
    took = f" All took {hours:.1f} hours, failed runs too." if hours >= 0.1 else ""
    return (
        f"{results.questions}, {task.task.relation}: n = {task.tuned.main.n}, {samples} samples a "
        f"question, at most {task.tuned.main.setting.max_new_tokens} new tokens. Brackets: 95 % "
        f"intervals, of the untrained model over questions, of an objective over its seeds "
        f"({seeds}; Student's t). The untrained model's pass@1 and majority are at the temperature "
        f"of its row. Where more than {share(MUCH_CUT)} of the greedy answers were cut off at the "
        f"cap, that is said beside a figure.{took}"
    )


def _every_step(results: ComparisonResults) -> Table:
    rows = [
        (
            *(method.label, str(run.seed), str(point.step), f"{point.seconds:.0f}"),
            *(f"{100 * getattr(point, name):.1f}" for name in _SHARES),
            f"{point.mean_length:.1f}",
        )
        for method in results.methods
        for run in method.runs
        for point in run.curve
    ]
    header = ("objective", "seed", "step", "s", *_HEADER[1:5])
    return Table(header, rows, folded="Every figure")


# Curves.


def _chart(results: ComparisonResults, axis: str, quality: str, title: str) -> Chart:
    """A line an objective: the mean of its seeds, their range shaded; controls are dashed."""
    scale = 1.0 if quality == "mean_length" else 100.0
    series = []
    for colour, method in enumerate(results.methods):
        points, bounds = [], []
        for group in _by_step([run.curve for run in method.runs if run.done]):
            at = fmean(getattr(point, axis) for point in group)
            values = [scale * getattr(point, quality) for point in group]
            points.append((at, fmean(values)))
            if len(values) > 1:
                bounds.append((at, min(values), max(values)))
        if points:
            series.append(
                Series(method.label, points, bounds, colour, dashed=method.is_control, shaded=True)
            )
    level = (100 * results.base_best.figure.value, "base at its best") if scale == 100 else None
    label = "updates made" if axis == "step" else "seconds of training"
    title += ", by time" if axis == "seconds" else ""
    return Chart(title, label, "tokens" if scale == 1 else "%", series, level=level)


def _by_step(
    curves: Sequence[Sequence[ComparisonPoint]],
) -> Iterator[tuple[ComparisonPoint, ...]]:
    """The points of all runs at each step that all have."""
    by_step = [{point.step: point for point in curve} for curve in curves]
    for step in by_step[0] if by_step else ():
        if all(step in points for points in by_step):
            yield tuple(points[step] for points in by_step)


def _made(folder: ComparisonFolder, results: ComparisonResults) -> Iterator[Block]:
    """Settings by objective; command, versions, device of the first run; machines if several."""
    rows = [
        (method.label, ", ".join(f"{name} {value}" for name, value in method.settings.items()))
        for method in results.methods
    ]
    yield Heading("How it was made")
    yield Table(("objective", "its own settings"), [(a, b or "–") for a, b in rows], words=True)
    places = {
        f"{method.label}, seed {run.seed}": folder.run(method.label, run.seed)
        for method in results.methods
        for run in method.runs
        if run.done
    }
    places = {name: place for name, place in places.items() if place.holds_run}
    for name, place in [*places.items()][:1]:
        yield from made(place, name=name)
    yield from _machines(places)


def _machines(places: Mapping[str, RunFolder]) -> Iterator[Block]:
    """Which run was on what, where that differs: their seconds do not compare."""
    runs: dict[str, list[str]] = {}
    for name, place in places.items():
        rows = hardware_rows(place.read_environment())
        runs.setdefault("; ".join(text for _, text in rows), []).append(name)
    if len(runs) > 1:
        yield Paragraph("Not all runs were on the same machine, so their seconds do not compare:")
        rows = [(machine, "; ".join(names)) for machine, names in runs.items()]
        yield Table(("machine", "runs"), rows, words=True)
