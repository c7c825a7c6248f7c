"""What is shown of a step that takes long."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest

from rlsc.runtime import display
from rlsc.training.progress import StepProgress


def test_work_aside_has_a_line_of_its_own_while_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(display, "console", display.NotingConsole(file=written, width=100))
    monkeypatch.setattr(display, "LOG_SECONDS", (0.05, 0.05))
    progress = StepProgress()
    state = SimpleNamespace(is_world_process_zero=True, max_steps=10, global_step=0)
    progress.on_train_begin(None, state, None)
    with progress.aside("guard's pool", 512, "completions") as advance:
        advance(128)
        time.sleep(0.12)
    begun = len(written.getvalue().splitlines())
    time.sleep(0.12)
    progress.close()
    lines = written.getvalue().splitlines()
    assert "guard's pool  128/512 completions  0:00:00 elapsed" in lines[:begun]
    assert all(line.startswith("training  0/10 steps") for line in lines[begun + 1 :])
    assert lines[begun + 1 :]


def test_where_no_bar_is_wanted_there_is_none() -> None:
    progress = StepProgress(enabled=False)
    with progress.aside("guard's pool", 512, "completions") as advance:
        advance(128)
