"""The tasks before the first step: from the model itself, uniform draws, or a file."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlsc.environments.azr.asking import propose_asks
from rlsc.environments.azr.buffer import Buffer
from rlsc.environments.azr.language import Language
from rlsc.environments.azr.settings import AZRSettings
from rlsc.environments.azr.step import SHOWN
from rlsc.environments.azr.tasks import KINDS, SEED, TRIPLETS, Kind, Refusal, Task
from rlsc.environments.base import Groups
from rlsc.errors import ConfigError
from rlsc.records import GameRow
from rlsc.runtime import console
from rlsc.types import Ask

_WAVE = 64
_COLUMNS = {"deduction": ("input", "output"), "abduction": ("input", "output")}
Seeding = Generator[Sequence[Ask], Groups, tuple[list[Task], list[GameRow]]]
"""Returns tasks in the order they were found, and a record of each proposal."""


def seeds_of_model(
    settings: AZRSettings, language: Language, kind: Kind, wanted: int, sources: list[Task]
) -> Seeding:
    """Proposals of the policy until there are `wanted` tasks of a kind.

    References are drawn from what there is so far; of induction the programs of `sources`. Raises
    `ConfigError` where the attempts are used up.
    """
    buffer, seeds, records = Buffer(wanted), list[Task](), list[GameRow]()
    for task in language.first(kind) if kind in TRIPLETS else ():
        if (kept := buffer.add(task)) is not None:
            seeds.append(kept)
    attempts, reasons = 0, Counter[str]()
    while len(seeds) < wanted and attempts < settings.attempts:
        number = min(_WAVE, 2 * (wanted - len(seeds)), settings.attempts - attempts)
        draws = [
            _references(buffer, kind, settings.references, sources, attempts + place)
            for place in range(number)
        ]
        names = [f"seed/{kind}/{attempts + place}" for place in range(number)]
        asks, _ = propose_asks(settings, language, kind, names, draws)
        groups = yield asks
        attempts += number
        pairs = [
            (group.completions[0], references)
            for group, references in zip(groups, draws, strict=True)
            if group is not None
        ]
        for made, (completion, _) in zip(language.tasks(kind, pairs), pairs, strict=True):
            kept = buffer.add(made) if isinstance(made, Task) and len(seeds) < wanted else None
            reason = made.reason if isinstance(made, Refusal) else "" if kept else "duplicate"
            reasons[reason] += 1
            records.append({"kind": kind, "text": completion.text[:SHOWN], "reason": reason})
            if kept is not None:
                seeds.append(kept)
                records[-1] |= kept.to_json()
    if len(seeds) < wanted:
        del reasons[""]
        why = ", ".join(f"{name} {count}" for name, count in reasons.most_common(3))
        raise ConfigError(
            f"the model proposed {len(seeds)} different {kind} tasks of {wanted} in {attempts} "
            f"attempts ({why}): {language.advice}"
        )
    return seeds, records


def _references(
    buffer: Buffer, kind: Kind, number: int, sources: Sequence[Task], attempt: int
) -> list[Task]:
    if kind not in TRIPLETS:
        return [sources[attempt % len(sources)]]
    return buffer.draw(kind, number, attempt)


def uniform_seeds(
    language: Language, kind: Kind, wanted: int, sources: Sequence[Task], draw: random.Random
) -> list[Task]:
    """Distinct tasks drawn from the grammar. Raises `ConfigError` where it has too few."""
    buffer, seeds = Buffer(wanted), list[Task]()
    for attempt in range(100 * wanted):
        program = sources[attempt % len(sources)].program if sources else ""
        drawn = language.drawn(kind, draw, program)
        if (kept := buffer.add(drawn)) is not None:
            seeds.append(kept)
        if len(seeds) == wanted:
            return seeds
    raise ConfigError(f"the grammar has no {wanted} different {kind} tasks: lower seed_size")


def seeds_of_file(settings: AZRSettings, language: Language) -> dict[Kind, list[Task]]:
    """By kind the tasks of `seed_tasks`, run again; what is refused is counted in a line.

    Of a run's tasks.jsonl its seeds count, which have step −1. Raises `ConfigError` with the line
    for one that cannot be read, and for a kind of which too few are left.
    """
    file = Path(str(settings.seed_tasks)).expanduser()
    tasks = [_task_of(row, f"{file}, line {n}") for n, row in enumerate(rows_of_file(file), 1)]
    replayed = language.replayed([task for task in tasks if task is not None])
    refused = Counter(each.reason for each in replayed if isinstance(each, Refusal))
    if refused:
        why = ", ".join(f"{name} {count}" for name, count in refused.most_common(3))
        console.print(f"note: {refused.total()} of {len(replayed)} seed_tasks refused: {why}")
    seeds: dict[Kind, list[Task]] = {}
    for kind in settings.played:
        buffer = Buffer(max(1, len(replayed)))
        alike = TRIPLETS if kind in TRIPLETS else (kind,)  # the same begin both
        of_kind = [task for task in replayed if isinstance(task, Task) and task.kind in alike]
        added = [buffer.add(replace(task, kind=kind)) for task in of_kind]
        seeds[kind] = [task for task in added if task is not None]
        if len(seeds[kind]) < 2 + settings.probe_tasks:
            raise ConfigError(
                f"environment_settings: seed_tasks {file} has {len(seeds[kind])} {kind} tasks that "
                f"can be played, and {2 + settings.probe_tasks} are needed"
            )
    return seeds


def rows_of_file(file: Path) -> list[dict[str, Any]]:
    """Raises `ConfigError` for a file that is not there, and with the line for what is no JSON."""
    where = f"environment_settings: seed_tasks {file}"
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} cannot be read: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{where}, line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{where}, line {number} is no task: {line:.60}")
        rows.append(row)
    return rows


def _task_of(row: dict[str, Any], where: str) -> Task | None:
    """None for a row of a run that is no seed."""
    if row.get("step", SEED) != SEED or row.get("reason"):
        return None
    kind = row.get("kind")
    if kind not in KINDS:
        raise ConfigError(f"{where}: kind must be one of {', '.join(KINDS)}, not {kind!r:.40}")
    columns = ("program", *_COLUMNS.get(kind, ("pairs",)))
    missing = next((name for name in columns if name not in row), None)
    if missing is not None:
        raise ConfigError(f"{where} has no {missing!r}")
    text = all(isinstance(row[name], str) for name in columns if name != "pairs")
    pairs = row.get("pairs") or []
    listed = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, str) for v in pair)
        for pair in pairs
    )
    if not (text and listed):
        raise ConfigError(f"{where}: program, input, output and pairs must be text")
    message = row.get("message", "")
    if kind == "induction":
        shown = tuple((given, output) for given, output in pairs)
        return Task(kind, row["program"], pairs=shown, message=message)
    return Task(kind, row["program"], row["input"], row["output"], message=message)
