"""Progress on long work: a bar in a terminal, lines in a log."""

from __future__ import annotations

import io
import time

import pytest

from rlsc.runtime import display


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a log gets that is no terminal: a line after 50 ms, and every 20 ms."""
    written = io.StringIO()
    monkeypatch.setattr(display, "console", display.NotingConsole(file=written, width=100))
    monkeypatch.setattr(display, "LOG_SECONDS", (0.05, 0.02))
    return written


def test_a_log_gets_lines_while_nothing_advances(log: io.StringIO) -> None:
    with display.make_progress("completions") as progress:
        bar = progress.add_task("evaluation greedy", total=200)
        progress.advance(bar, 50)
        time.sleep(0.2)
    lines = log.getvalue().splitlines()
    assert len(lines) >= 3
    assert set(lines) == {"evaluation greedy  50/200 completions  0:00:00 elapsed"}
    time.sleep(0.1)
    assert log.getvalue().splitlines() == lines  # none after its end


def test_the_last_line_of_what_took_long_says_how_long(log: io.StringIO) -> None:
    with display.make_progress("completions") as progress:
        bar = progress.add_task("evaluation greedy", total=2)
        time.sleep(0.08)
        progress.advance(bar, 2)
    assert log.getvalue().splitlines()[-1] == "evaluation greedy  2/2 completions  0:00:00 elapsed"


def test_a_log_gets_the_time_left_where_it_is_known(log: io.StringIO) -> None:
    with display.make_progress("steps") as progress:
        bar = progress.add_task("updating", total=10)
        for _ in range(2):
            time.sleep(0.03)
            progress.advance(bar, 0.5)
        time.sleep(0.05)
    assert "updating  1/10 steps  0:00:00 elapsed, about 0:00:0" in log.getvalue()


def test_what_is_short_leaves_no_line(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "LOG_SECONDS", (10.0, 30.0))
    with display.make_progress("verdicts") as progress:
        progress.advance(progress.add_task("gsm8k", total=1))
    assert log.getvalue() == ""


def test_short_tasks_in_a_row_do_not_leave_a_log_silent(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the log's silence that counts, and not how long one of them has taken."""
    monkeypatch.setattr(display, "LOG_SECONDS", (10.0, 30.0))
    display.console.printed -= 30
    with display.make_progress("completions") as progress:
        progress.add_task("evaluation greedy", total=39)
        for _ in range(100):
            if not log.getvalue():
                time.sleep(0.05)
    lines = log.getvalue().splitlines()
    assert lines
    assert all(line.startswith("evaluation greedy  0/39 completions") for line in lines)
    with display.waiting("loading"):
        time.sleep(0.05)
    assert log.getvalue().splitlines() == lines


def test_work_without_a_count_has_lines_in_a_log(log: io.StringIO) -> None:
    with display.waiting("loading a model"):
        time.sleep(0.2)
    lines = log.getvalue().splitlines()
    assert len(lines) >= 3
    assert set(lines) == {"loading a model  0:00:00 elapsed"}
    time.sleep(0.1)
    assert log.getvalue().splitlines() == lines


def test_work_without_a_count_has_none_in_a_terminal(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display.console, "_force_terminal", True)
    with display.waiting("loading a model"):
        time.sleep(0.2)
    assert log.getvalue() == ""


@pytest.mark.parametrize("installed", [None, object()])
def test_a_notebook_has_bars_where_ipywidgets_are(
    installed: object, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = display.console
    monkeypatch.setattr(console, "is_jupyter", True)
    monkeypatch.setattr(display.importlib.util, "find_spec", lambda name: installed)
    assert console.has_bars is bool(installed)


def test_where_no_bar_can_be_drawn_there_are_lines(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display.console, "_force_terminal", True)
    monkeypatch.setattr(display.NotingConsole, "has_bars", False)
    with display.make_progress("steps") as progress:
        progress.add_task("sampling", total=10)
        time.sleep(0.2)
    assert "sampling  0/10 steps" in log.getvalue()
    assert "\x1b[" not in log.getvalue()


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    console = display.NotingConsole(file=written, force_terminal=True, width=100)
    monkeypatch.setattr(display, "console", console)
    with display.make_progress("verdicts") as progress:
        progress.advance(progress.add_task("gsm8k", total=1))
    assert "gsm8k" in written.getvalue()
    assert "\x1b[" in written.getvalue()
