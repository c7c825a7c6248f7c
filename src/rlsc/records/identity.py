"""What a run is of: hashes of its data, prompts and weights, and of a user's own code.

`identity.json` is written when a run begins. Whatever goes on with the run, judges its answers
anew, takes them over or is compared with it first asks here whether both are of the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from rlsc.errors import OutputError
from rlsc.records.files import read_json, write_json
from rlsc.types import AnswerKey, Prompt, Question

IDENTITY = "identity.json"
ANEW = "give the same again, or begin anew with --overwrite or another --output_dir"
"""What to do where a run cannot go on."""

Parts = Mapping[str, str]
"""A hash for each thing that a run depends on, by what a reader calls it: `training questions`."""


def content_hash(content: object) -> str:
    """SHA-256 of what JSON can hold."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def hash_of_files(files: Iterable[Path]) -> str:
    """Of names and contents; where the files lie does not count."""
    return content_hash([[f.name, hashlib.sha256(f.read_bytes()).hexdigest()] for f in files])


def hash_of_stamps(files: Iterable[Path]) -> str:
    """Of names, sizes and times, where reading the contents each time would take long."""
    stats = [(file.name, file.stat()) for file in files]
    return content_hash([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def question_parts(name: str, questions: Iterable[Question]) -> dict[str, str]:
    """Ids and texts, in order."""
    return {f"{name} questions": content_hash([[q.id, q.text] for q in questions])}


def prompt_parts(name: str, prompts: Iterable[Prompt]) -> dict[str, str]:
    """Ids and token ids, in order: what template and tokenizer make of the questions."""
    return {f"{name} prompts": content_hash([[p.id, p.token_ids] for p in prompts])}


def reference_parts(name: str, ids: Iterable[str], answers: AnswerKey) -> dict[str, str]:
    """The reference answers of questions that have one."""
    given = [[each, answers[each]] for each in ids if each in answers]
    return {f"{name} references": content_hash(given)}


def write_identity(folder: Path, parts: Parts) -> None:
    """Add to what the folder's record holds, or replace parts of it."""
    file = folder / IDENTITY
    write_json(file, (read_json(file) if file.exists() else {}) | dict(parts))


def changed_parts(folder: Path, parts: Parts) -> list[str]:
    """The names of those that are not what they were when the run in the folder began.

    Raises `OutputError` where the folder has no record, or a damaged one.
    """
    file = folder / IDENTITY
    if not file.exists():
        raise OutputError(f"{folder} does not say what its run is of ({IDENTITY} is missing)")
    stored = read_json(file)
    return [name for name, value in parts.items() if stored.get(name) != value]


def check_same(folder: Path, parts: Parts, flag: str, advice: str = ANEW) -> None:
    """Raise `OutputError`, which begins with the flag and names what changed, and what to do."""
    try:
        changed = changed_parts(folder, parts)
    except OutputError as error:
        raise OutputError(f"{flag}: {error}; {advice}") from error
    if changed:
        raise OutputError(f"{flag}: the run in {folder} is of other {listed(changed)}: {advice}")


def listed(names: Collection[str]) -> str:
    """The first few of many, such as the prompts of every benchmark."""
    shown, more = list(names)[:4], len(names) - 4
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
