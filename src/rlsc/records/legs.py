"""How long the parts of a folder took in all: every process that worked at one, added up."""

from __future__ import annotations

import time
from pathlib import Path

from rlsc.records.files import read_json, write_json

LEGS = "seconds.json"
_UNDER_WAY = "under way"


class Legs:
    """Seconds by part, a part being a folder within `folder`, over as many calls as it took.

    A leg that was killed with its caller counts until the last file that it wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / LEGS
        content = read_json(self._file) if self._file.exists() else {}
        begun = content.pop(_UNDER_WAY, None)
        self.seconds: dict[str, float] = content
        if begun:
            files = [file for file in (folder / begun[0]).rglob("*") if file.is_file()]
            last = max((file.stat().st_mtime for file in files), default=begun[1])
            self._add(begun[0], last - begun[1])

    def begin(self, part: str) -> None:
        self._begun = part, time.time()
        write_json(self._file, self.seconds | {_UNDER_WAY: list(self._begun)})

    def end(self) -> None:
        part, begun = self._begun
        self._add(part, time.time() - begun)
        write_json(self._file, self.seconds)

    def _add(self, part: str, seconds: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + max(seconds, 0.0)
