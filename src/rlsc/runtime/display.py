"""The console and the progress bars of all commands."""

from __future__ import annotations

import logging as standard_logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Paths and names are printed as they are: brackets in them are not markup.
# Of several processes the main one alone talks.
console = Console(markup=False, highlight=False, quiet=os.environ.get("RANK", "0") != "0")


def make_progress(unit: str) -> Progress:
    """A bar with counts, time elapsed and time left. Text printed meanwhile appears above it."""
    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=600,
    )


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
