"""The guard over the steps of a run: when it asks, what it writes, which policy it chooses."""

from __future__ import annotations

import itertools
import json
import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rlsc.errors import ConfigError
from rlsc.guard import guard as guard_module
from rlsc.guard.rule import Rule
from rlsc.records.jsonl import read_jsonl
from tests.smoke.guard.test_guard import harmed_from, trainer
from tests.smoke.training.test_trainer import completions, weights


def records(folder: Path) -> list[dict]:
    """guard.jsonl without the time it took."""
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in read_jsonl(folder / "guard.jsonl")
    ]


def test_the_probe_is_asked_every_so_many_steps_and_after_the_last(tmp_path: Path) -> None:
    every, third = (trainer(tmp_path / str(n), guard_interval=n, max_steps=5) for n in (1, 3))
    every.train()
    third.train()
    assert torch.equal(weights(every), weights(third))
    assert completions(tmp_path / "1") == completions(tmp_path / "3")
    rows, sparse = records(tmp_path / "1"), records(tmp_path / "3")
    assert [row["asked"] for row in rows] == [True] * 6
    assert [row["asked"] for row in sparse] == [True, True, False, False, True, True]
    for row, one in zip(rows, sparse, strict=True):
        if one["asked"]:  # what is asked is answered as if it were every step
            before = {"flips": 0.0}  # these are since the time before
            assert one["questions"] == row["questions"]
            assert one["signals"] | before == row["signals"] | before
        else:
            assert "support" not in one["signals"]
            assert one["signals"].items() <= row["signals"].items()
            assert (one["questions"], one["score"]) == ({}, None)
    assert third.guard.results(5).verdicts[2].asked is False
    assert list(third.guard.results(5).scores) == [0, 1, 4, 5]


def test_once_there_is_harm_it_asks_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "Rule", harmed_from(3))
    run = trainer(tmp_path, guard="stop", guard_interval=3, guard_patience=3, max_steps=9)
    run.train()
    asked = [row["asked"] for row in records(tmp_path)]
    assert asked == [True, True, False, False, True, True, True]
    kept = run.guard.results(6)
    assert (kept.stopped_at, kept.kept_step) == (6, 1)


@pytest.mark.parametrize(
    ("cut", "interval"),
    [
        (2, 3),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in ((1, 2), (2, 2), (3, 2), (1, 3), (3, 3))
        ),
    ],
)
def test_a_resumed_run_has_the_same_records(tmp_path: Path, cut: int, interval: int) -> None:
    """Wherever it was cut off: a run that ends there has asked after its last step."""
    flags = {"guard": "stop", "guard_interval": interval, "save_steps": 1}
    whole = trainer(tmp_path / "whole", **flags)
    whole.train()
    trainer(tmp_path / "cut", **flags, max_steps=cut).train()
    resumed = trainer(tmp_path / "cut", **flags)
    resumed.train(resume_from_checkpoint=True)
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    results = [replace(run.guard.results(4), seconds=0.0) for run in (resumed, whole)]
    assert results[0] == results[1]
    assert torch.equal(weights(resumed), weights(whole))


def test_records_are_appended_and_cut_back_where_a_run_goes_on(tmp_path: Path) -> None:
    trainer(tmp_path, max_steps=2, save_steps=1).train()
    file = tmp_path / "guard.jsonl"
    written = file.read_bytes().splitlines(keepends=True)
    assert len(written) == 3
    # It got past its checkpoint, and died while it wrote.
    file.write_bytes(b"".join([*written, written[2].replace(b'"step": 2', b'"step": 3'), b'{"st']))
    resumed = trainer(tmp_path, save_steps=1)
    seen: list[bytes] = []
    observe = resumed.guard.observe

    def spy(*rest, **more) -> bool:
        seen.append(file.read_bytes())
        return observe(*rest, **more)

    resumed.guard.observe = spy
    resumed.train(resume_from_checkpoint=True)
    seen.append(file.read_bytes())
    assert seen[0] == b"".join(written[:2])
    lengths = [len(one.splitlines()) for one in seen]
    assert lengths == [2, 3, 4, 5]
    assert all(new.startswith(old) for old, new in itertools.pairwise(seen))
    assert [json.loads(line)["step"] for line in seen[-1].splitlines()] == [0, 1, 2, 3, 4]


def test_each_step_is_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []

    class Counting(Rule):
        def verdict(self, now):
            judged.append(now.step)
            return super().verdict(now)

    monkeypatch.setattr(guard_module, "Rule", Counting)
    trainer(tmp_path).train()
    assert judged == [0, 1, 2, 3, 4]


def test_an_earlier_step_that_is_better_is_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Healthy to the end; the scores alone decide."""
    until_three = trainer(tmp_path / "three", max_steps=3, save_steps=3)
    until_three.train()
    monkeypatch.setattr(guard_module, "choose", lambda found: found[-2].step)
    run = trainer(tmp_path / "chosen", guard="stop")
    run.train()
    assert torch.equal(weights(run), weights(until_three))
    kept = run.guard.results(4)
    assert (kept.kept_step, kept.stopped_at) == (3, None)
    assert "the score fell from" in kept.reason


def test_candidates_come_from_before_a_resumption_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_one = trainer(tmp_path / "one", max_steps=1, save_steps=1)
    until_one.train()
    trainer(tmp_path / "cut", guard="stop", max_steps=2).train()
    monkeypatch.setattr(guard_module, "choose", lambda found: found[0].step)
    run = trainer(tmp_path / "cut", guard="stop", max_steps=3)
    run.train(resume_from_checkpoint=True)
    assert run.guard.results(3).kept_step == 1  # of 1, 2, 3
    assert torch.equal(weights(run), weights(until_one))


@pytest.mark.parametrize("stops", [True, False])
def test_a_stop_on_an_epochs_first_step_is_no_lack_of_data(
    stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An epoch is 2 steps. transformers still warns where nobody has stopped the run."""
    monkeypatch.setattr(guard_module, "Rule", harmed_from(1))
    run = trainer(tmp_path, guard="stop", max_steps=6)
    if not stops:
        monkeypatch.setattr(run, "get_batch_samples", lambda *_: ([], None))
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    ends = nullcontext() if stops else pytest.raises(ConfigError, match="no step was made")
    with caplog.at_level(logging.WARNING, logger="transformers.trainer"), ends:
        run.train()
    told = any("not to be a single sample" in one.message for one in caplog.records)
    assert told is not stops
    if stops:
        assert (run.guard.stopped_at, run.state.global_step) == (2, 2)
