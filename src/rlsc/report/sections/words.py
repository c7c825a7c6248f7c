"""Figures as text: the one way in which shares, intervals and differences are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rlsc.types import Difference, Estimate, LengthChange, Setting

NOTHING = "–"
_SHOWN = 20


def percent(figure: Estimate | None) -> str:
    """`62.4 [51.0, 73.1]`, in %."""
    return NOTHING if figure is None else _with_interval(figure, 100, ".1f")


def change(figure: Estimate | None, scale: float = 100) -> str:
    """`+30.8 [+20.5, +41.0]`: in points, or in the unit itself with a scale of 1."""
    return "" if figure is None else _with_interval(figure, scale, "+.1f")


def _with_interval(figure: Estimate, scale: float, form: str) -> str:
    text = format(scale * figure.value, form)
    if figure.interval:
        low, high = (format(scale * edge, form) for edge in figure.interval)
        text += f" [{low}, {high}]"
    return text


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


MUCH_CUT = 0.05


def cut_off(*shares: float) -> str:
    """Said beside a figure: which share of its answers the cap cut off, before and after perhaps.

    Nothing where none is above `MUCH_CUT`.

    >>> cut_off(0.12, 0.03)
    ' (cut off: 12 % → 3 %)'
    """
    if max(shares, default=0.0) <= MUCH_CUT:
        return ""
    return f" (cut off: {' → '.join(map(share, shares))})"


def decimal(value: float | None, digits: int = 2) -> str:
    return NOTHING if value is None else f"{value:.{digits}g}"


def difference_text(difference: Difference) -> str:
    """The paired difference with its interval and McNemar's p, in a sentence."""
    if difference.accuracy is None:
        return "no reference answers, so no difference of accuracies"
    if difference.mcnemar_p is None:
        points = change(difference.accuracy).replace(" [", " points [")
        return f"{points}{'' if difference.accuracy.interval else ' points'}, n = {difference.n}"
    return (
        f"{change(difference.accuracy).replace(' [', ' points [') or ''}"
        f"{'' if difference.accuracy.interval else ' points'}, {len(difference.gained)} questions "
        f"gained and {len(difference.lost)} lost, McNemar's exact p = "
        f"{decimal(difference.mcnemar_p)}, n = {difference.n}"
    )


def flipped(difference: Difference) -> list[str]:
    """Which questions were gained, and which lost; nothing where no question can flip."""
    if difference.mcnemar_p is None:
        return []
    sides = (("gained", difference.gained), ("lost", difference.lost))
    return [f"{name}: {listed(ids) or 'none'}" for name, ids in sides]


def length_lines(lengths: Mapping[str, LengthChange]) -> list[str]:
    """The paired changes of length, their intervals, their p."""
    names = {"all": "All answers", "right": "Right answers", "not_right": "Answers not right"}
    return [f"{names[part]}: {_length_change(of)}." for part, of in lengths.items()]


def _length_change(lengths: LengthChange) -> str:
    text = (
        f"mean length {lengths.before:.1f} → {lengths.after:.1f} tokens, "
        f"{change(lengths.difference, 1)}"
    )
    if lengths.wilcoxon_p is not None:
        text += f"; Wilcoxon's signed-rank p = {decimal(lengths.wilcoxon_p)}"
    text += f", n = {lengths.n} questions"
    if max(lengths.cut_off_before, lengths.cut_off_after) >= 0.005:
        before, after = share(lengths.cut_off_before), share(lengths.cut_off_after)
        text += f"; cut off, and longer in truth: {before} → {after}"
    return text


def setting_name(setting: Setting) -> str:
    """Template, temperature and, where there are several, samples."""
    text = f"{Path(setting.template).name}, {asked(setting)}"
    return text if setting.samples == 1 else f"{text}, {setting.samples} samples"


def asked(setting: Setting) -> str:
    """Temperature and what is put behind a question."""
    text = "greedy" if setting.temperature == 0 else f"T = {setting.temperature:g}"
    return text + (f", “{setting.suffix.strip()}”" if setting.suffix else "")


def listed(ids: Sequence[str]) -> str:
    """The first ids, and how many more there are."""
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more
