"""`rlsc report`: a run's page made again, several on one page, and one that goes on."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rlsc.report import html
from tests.smoke.commands.test_train import FLAGS
from tests.smoke.conftest import command


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
    found = re.search(r"<title>(.*)</title>", file.read_text("utf-8"))
    assert found
    return found[1]


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
    changes = json.loads((run / "results.json").read_text())["changes"]
    page, text = ((run / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
    length = changes["greedy"]["lengths"]["all"]
    said = f"All answers: mean length {length['before']:.1f} → {length['after']:.1f} tokens"
    p = f"McNemar&#39;s exact p = {changes['greedy']['flips']['mcnemar_p']:.2g}"
    assert said in page
    assert said in text
    assert p in page
    assert p.replace("&#39;", "'") in text


def test_several_runs_are_side_by_side(run: Path, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "both.html"
    assert command("report", run, trained, "--output_file", file) == 0
    assert title(file) == "Runs side by side"
    assert str(trained) in file.read_text("utf-8")


def test_a_run_under_way_is_followed_to_its_end(run: Path) -> None:
    results = (run / "results.json").read_text()
    (run / "results.json").unlink()
    told: list[str] = []
    thread = threading.Thread(target=html.watch, args=(run, told.append, 0.05), daemon=True)
    thread.start()
    waited(lambda: told)
    assert headline(run / "report.html") == "Under way: 2 of 2 steps so far."
    assert 'http-equiv="refresh"' in (run / "report.html").read_text("utf-8")
    assert thread.is_alive()
    (run / "results.json").write_text(results)
    thread.join(20)
    assert not thread.is_alive()
    assert headline(run / "report.html").startswith("Greedy accuracy")
    assert told == [f"report  {run / 'report.html'}"]


def test_a_comparison_is_followed_until_every_run_is_done(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    temperature = {"temperature": 0, **results["before"]["greedy"]}
    base = {"model": "m", "questions": "q", "evaluated_on": "e", "before": results["before"]}
    curve = [{"step": 0, "seconds": 0.0, "greedy": 0.5, "pass@1": 0.5, "mean_length": 5.0}]
    runs = [{"seed": 0, "curve": curve}, {"seed": 1}]
    method = {"label": "rlsc", "settings": {}, "summary": {}, "runs": runs}
    content = {"base": base | {"temperatures": [temperature]}, "seeds": [0, 1], "methods": [method]}
    folder = run.parent / "comparison"
    folder.mkdir()
    file = folder / "comparison.json"
    file.write_text(json.dumps(content))
    thread = threading.Thread(target=html.watch, args=(folder, print, 0.05), daemon=True)
    thread.start()
    waited((folder / "report.html").exists)
    waited(lambda: "1 of 2 runs done" in headline(folder / "report.html"))
    runs[1]["failed"] = "out of memory"
    file.write_text(json.dumps(content))
    thread.join(20)
    assert not thread.is_alive()
    assert "1 of 2 done, 1 failed" in (folder / "report.html").read_text("utf-8")


def test_silence_is_told_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = run / "results.json"
    text = results.read_text()
    results.unlink()
    monkeypatch.setattr(html, "SILENCE", 0)
    told: list[str] = []
    thread = threading.Thread(target=html.watch, args=(run, told.append, 0.02), daemon=True)
    thread.start()
    waited(lambda: len(told) > 1)
    time.sleep(0.2)
    assert len(told) == 2
    assert "is the run alive?" in told[1]
    results.write_text(text)
    thread.join(20)
    assert not thread.is_alive()


def test_what_holds_no_run_is_told_in_a_line(tmp_path: Path, capfd) -> None:
    (tmp_path / "begun" / "base").mkdir(parents=True)
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
