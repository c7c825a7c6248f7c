"""What a comparison's child process is given in place of a run; it imports next to nothing."""

from __future__ import annotations

import time
from pathlib import Path

from rlsc.runtime import display


def long_run(seen: Path) -> None:
    """Over when its line has been seen, or after half a minute."""
    display.LOG_SECONDS = (0.0, 0.05)
    with display.waiting("in the child"):
        for _ in range(600):
            if not seen.exists():
                time.sleep(0.05)
