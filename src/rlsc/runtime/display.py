"""The console and the progress bars of all commands."""

from __future__ import annotations

import logging as standard_logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Paths and names are printed as they are: brackets in them are not markup.
# Of several processes the main one alone talks.
console = Console(markup=False, highlight=False, quiet=os.environ.get("RANK", "0") != "0")


Advance = Callable[[int], None]
"""Called with how many more are done."""
LOG_SECONDS = (10.0, 30.0)
"""When a log, which has no bar that moves, gets its first line, and how often others follow."""


class LoggedProgress(Progress):
    """A bar in a terminal or a notebook; in a log lines, of what takes longer than the first.

    By a thread of its own: a batch may take minutes without a word.
    """

    unit = ""
    """Of tasks that name none themselves."""
    _over: threading.Event | None = None
    _thread: threading.Thread | None = None

    def add_task(self, description: str, *args: Any, **fields: Any) -> TaskID:
        return super().add_task(description, *args, **{"unit": self.unit, **fields})

    def start(self) -> None:
        if self.console.is_terminal or self.console.is_jupyter:
            super().start()
        elif self._over is None:
            self._over = threading.Event()
            self._thread = threading.Thread(target=self._log, args=(self._over,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        if self._over is None or self._thread is None:
            super().stop()
            return
        self._over.set()
        self._thread.join()
        self._over = self._thread = None

    def _log(self, over: threading.Event) -> None:
        if over.wait(LOG_SECONDS[0]):
            return
        while True:
            self._print_lines()
            if over.wait(LOG_SECONDS[1]):
                self._print_lines()
                return

    def _print_lines(self) -> None:
        for task in self.tasks:
            self.console.print(self.line(task), highlight=False, soft_wrap=True)

    def line(self, task: Task) -> str:
        """Of a task: what is done, the time it took, and the time that is left."""
        done = f"{task.completed:.3g}/{task.total or 0:g} {task.fields['unit']}"
        times = [f"{_clock(task.elapsed)} elapsed"]
        if task.time_remaining:
            times.append(f"about {_clock(task.time_remaining)} left")
        return f"{task.description}  {done}  {', '.join(times)}"


def _clock(seconds: float | None) -> str:
    return str(timedelta(seconds=round(seconds or 0)))


def make_progress(unit: str) -> Progress:
    """A bar with counts, time elapsed and time left. Text printed meanwhile appears above it.

    Where there is no terminal, lines in the log: `LoggedProgress`.
    """
    progress = LoggedProgress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=600,
    )
    progress.unit = unit
    return progress


@contextmanager
def without_missing_data_warning(stopping: Callable[[], bool]) -> Iterator[None]:
    """Within, transformers does not warn of missing data while the run is `stopping` on purpose.

    It warns whenever an epoch had no step, also where that is since the run was to stop.
    """

    def is_wanted(record: standard_logging.LogRecord) -> bool:
        warns = str(record.msg).startswith("There seems not to be a single sample")
        return not (warns and stopping())

    logger = standard_logging.getLogger("transformers.trainer")
    logger.addFilter(is_wanted)
    try:
        yield
    finally:
        logger.removeFilter(is_wanted)


def quiet_libraries() -> None:
    """Our own lines are what one sees, and downloads' bars; libraries' warnings are not."""
    from huggingface_hub.utils import enable_progress_bars
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    hub_logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    enable_progress_bars()
    warnings.filterwarnings("ignore", category=FutureWarning)
