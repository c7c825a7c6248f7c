"""`rlsc report`: a run's page made again, several on one page, and one that goes on."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rlsc.records.results import TrainingResults, read_results_of, write_results
from rlsc.records.run_folder import ComparisonFolder
from rlsc.report import files
from tests.smoke.commands.test_train import FLAGS
from tests.smoke.conftest import command
from tests.unit.report import runs


@pytest.fixture(scope="module")
def trained(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose page shows what it did. Copy it to change it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert command("train", *FLAGS, "--model", model_folder, "--output_dir", folder) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def title(file: Path) -> str:
    match = re.search(r"<title>(.*)</title>", file.read_text("utf-8"))
    assert match
    return match[1]


def headline(file: Path) -> str:
    return file.read_text("utf-8").split('class="headline">')[1].split("<")[0]


def test_a_page_is_made_again_as_it_was(run: Path, tmp_path: Path) -> None:
    page = (run / "report.html").read_text("utf-8")
    (run / "report.html").unlink()
    assert command("report", run) == 0
    assert (run / "report.html").read_text("utf-8") == page
    assert command("report", run, "--output_file", tmp_path / "mine.html") == 0
    assert (tmp_path / "mine.html").read_text("utf-8") == page


def test_the_page_and_the_records_have_the_same_figures(run: Path) -> None:
    task = read_results_of(TrainingResults, run).evaluation
    assert task
    assert task.difference
    page, text = ((run / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
    length = task.difference.lengths["all"]
    said = f"All answers: mean length {length.before:.1f} → {length.after:.1f} tokens"
    p = f"McNemar&#39;s exact p = {task.difference.mcnemar_p:.2g}"
    assert said in page
    assert said in text
    assert p in page
    assert p.replace("&#39;", "'") in text


def test_several_runs_are_side_by_side(run: Path, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "both.html"
    assert command("report", run, trained, "--output_file", file) == 0
    assert title(file) == "Runs side by side"
    assert str(trained) in file.read_text("utf-8")


def test_a_run_under_way_is_followed_to_its_end(tmp_path: Path) -> None:
    run = runs.write_run(tmp_path / "run", None)
    lines: list[str] = []
    thread = threading.Thread(target=files.watch, args=(run, lines.append, 0.05), daemon=True)
    thread.start()
    waited(lambda: lines)
    assert headline(run / "report.html") == "Under way: 20 of 20 steps so far."
    assert 'http-equiv="refresh"' in (run / "report.html").read_text("utf-8")
    assert thread.is_alive()
    write_results(run, runs.training())
    thread.join(20)
    assert not thread.is_alive()
    assert headline(run / "report.html").startswith("Not shown to differ from the base at its best")
    assert lines == [f"report  {run / 'report.html'}"]


def test_a_comparison_is_followed_until_every_run_is_done(tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "comparison", runs.comparison(missing=2))
    thread = threading.Thread(target=files.watch, args=(folder, print, 0.05), daemon=True)
    thread.start()
    waited((folder / "report.html").exists)
    waited(lambda: "25 of 27 runs done" in headline(folder / "report.html"))
    assert thread.is_alive()
    write_results(folder, runs.comparison())
    thread.join(20)
    assert not thread.is_alive()
    assert "26 of 27 done, 1 failed" in (folder / "report.html").read_text("utf-8")


def test_silence_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.write_run(tmp_path / "run", None)
    monkeypatch.setattr(files, "SILENCE", 0)
    lines: list[str] = []
    thread = threading.Thread(target=files.watch, args=(run, lines.append, 0.02), daemon=True)
    thread.start()
    waited(lambda: len(lines) > 1)
    time.sleep(0.2)
    assert len(lines) == 2
    assert "is the run alive?" in lines[1]
    write_results(run, runs.training())
    thread.join(20)
    assert not thread.is_alive()


def test_what_holds_no_run_is_told_in_a_line(tmp_path: Path, capfd) -> None:
    ComparisonFolder(tmp_path / "begun").prepare({}, overwrite=False)
    for folder, text in (
        (tmp_path / "none", "no such folder"),
        (tmp_path, "holds no run of rlsc"),
        (tmp_path / "begun", "no run of the comparison in"),
    ):
        assert command("report", folder) == 2
        said = capfd.readouterr().err
        assert text in said
        assert "Traceback" not in said


def waited(condition: Callable[[], object], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)
