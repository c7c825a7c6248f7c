"""The console and the progress bars of all commands."""

from __future__ import annotations

import errno
import importlib.util
import logging as standard_logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


class NotingConsole(Console):
    """Knows when it last printed: a log is not to be silent for long."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.printed = time.monotonic()
        self._closed = False

    def print(self, *objects: Any, **how: Any) -> None:
        self._end_if_closed()
        super().print(*objects, **how)
        self.printed = time.monotonic()

    def on_broken_pipe(self) -> None:
        """Who reads the output, as `head`, has gone: the run ends, by an error of its own.

        Not in a thread that ticks, but at the main one's next word.
        """
        with suppress(SystemExit):
            super().on_broken_pipe()  # what is still written goes nowhere
        self._closed = True
        self._end_if_closed()

    def _end_if_closed(self) -> None:
        if self._closed and threading.current_thread() is threading.main_thread():
            self._closed = self.quiet = False  # in a process that goes on, as a notebook's
            raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more")

    @property
    def has_bars(self) -> bool:
        """Whether it can draw over what it has drawn; else it is a log, and gets lines.

        A notebook without ipywidgets is one: rich would warn, and within a bar without end.
        """
        if self.is_jupyter:
            return importlib.util.find_spec("ipywidgets") is not None
        return self.is_terminal


# Paths and names are printed as they are: brackets in them are not markup.
# Of several processes the main one alone talks.
console = NotingConsole(markup=False, highlight=False, quiet=os.environ.get("RANK", "0") != "0")


Advance = Callable[[int], None]
"""Called with how many more are done."""
LOG_SECONDS = (10.0, 30.0)
"""When a log, which has no bar that moves, gets its first line, and how often others follow."""


class Ticker:
    """Says what goes on, in a log, until it is stopped; and at its end, where that took long.

    By a thread of its own: a batch may take minutes without a word. The first line comes sooner
    where the log has been silent already, as through many short tasks.
    """

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        first, every = LOG_SECONDS
        start = time.monotonic()
        silent = start - console.printed
        if self._over.wait(min(first, max(0.2, every - silent))):  # what ends at once is no news
            return
        while True:
            self._say()
            if self._over.wait(every):
                if time.monotonic() - start >= first:
                    self._say()
                return


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Around work that has no count, such as reading a model: a line in a log, where it is long.

    A terminal gets none: downloads have bars of their own there.
    """
    if console.has_bars:
        yield
        return
    start = time.monotonic()

    def say() -> None:
        elapsed = _clock(time.monotonic() - start)
        console.print(f"{what}  {elapsed} elapsed", soft_wrap=True)

    ticker = Ticker(say)
    try:
        yield
    finally:
        ticker.stop()


class LoggedProgress(Progress):
    """A bar in a terminal or a notebook; in a log lines, of what takes longer than the first."""

    unit = ""
    """Of tasks that name none themselves."""
    _ticker: Ticker | None = None

    def add_task(self, description: str, *args: Any, **fields: Any) -> TaskID:
        return super().add_task(description, *args, **{"unit": self.unit, **fields})

    def start(self) -> None:
        if console.has_bars:
            super().start()
        elif self._ticker is None:
            self._ticker = Ticker(self._print_lines)

    def stop(self) -> None:
        if self._ticker is None:
            super().stop()
        else:
            self._ticker.stop()
            self._ticker = None

    def _print_lines(self) -> None:
        for task in self.tasks:
            console.print(self.line(task), soft_wrap=True)

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
    # peft imports it where it is installed, whatever the model; it then warns of a missing kernel.
    standard_logging.getLogger("bitsandbytes").setLevel(standard_logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
