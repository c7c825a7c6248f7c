"""The guard in whole runs of a tiny model: it changes nothing, stops, restores, resumes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from rlsc import RLSCTrainer
from rlsc.commands.arguments import parse
from rlsc.commands.main import _main
from rlsc.commands.train import run
from rlsc.errors import NonFiniteError, OutputError
from rlsc.guard import guard as guard_module
from rlsc.guard.rule import COLLAPSED, HEALTHY, NARROWING, Health, Observation, Rule
from rlsc.records.jsonl import read_jsonl
from rlsc.training.metrics import METRICS
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.commands.test_train import arguments, figures, results, timeless
from tests.smoke.training.test_trainer import CHATS, completions, config, weights

ROWS = [{"id": str(index), "prompt": chat} for index, chat in enumerate(CHATS)]


def trainer(folder: Path, probe: int = 4, **changes) -> RLSCTrainer:
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, **{"guard_interval": 1} | changes),
        train_dataset=ROWS,
        processing_class=tiny_tokenizer(),
        probe_dataset=[{"prompt": row["prompt"]} for row in ROWS[:probe]],
    )


def harmed_from(step: int) -> type[Rule]:
    """A rule that sees harm from a step on, where it is shown answers."""

    class Harmed(Rule):
        harms = 0

        def verdict(self, now: Observation) -> Health:
            asked = bool(now.questions)
            if now.step < step or not (asked or self.harms):
                return Health(now.step, HEALTHY, asked=asked)
            self.harms += asked
            name = COLLAPSED if self.harms >= self._patience else NARROWING
            return Health(now.step, name, ("harm",), True, asked)

    return Harmed


def test_observing_leaves_the_run_as_it_is_without(tmp_path: Path) -> None:
    off, on = trainer(tmp_path / "off", guard="off"), trainer(tmp_path / "on")
    off.train()
    on.train()
    assert off.guard is None
    assert torch.equal(weights(on), weights(off))
    assert completions(tmp_path / "on") == completions(tmp_path / "off")
    rows = read_jsonl(tmp_path / "on" / "guard.jsonl")
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    assert len(rows[0]["questions"]["support"]) == 4
    assert rows[0]["signals"]["flips"] == 0
    assert rows[0]["signals"]["divergence"] == pytest.approx(0, abs=1e-6)
    assert rows[4]["signals"]["divergence"] > 0
    metrics = read_jsonl(tmp_path / "on" / "metrics.jsonl")
    assert metrics[2]["guard/verdict"] in (0, 1, 2)
    assert metrics[2]["guard/support"] == pytest.approx(rows[2]["signals"]["support"])
    without = read_jsonl(tmp_path / "off" / "metrics.jsonl")
    for row, unguarded in zip(metrics, without, strict=True):  # what is not the guard's is the same
        own = {name: value for name, value in row.items() if not name.startswith("guard/")}
        assert timeless(own) == timeless(unguarded)


def test_a_collapse_stops_the_run_and_the_last_healthy_policy_is_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_one = trainer(tmp_path / "one", max_steps=1, save_steps=1)
    until_one.train()
    monkeypatch.setattr(guard_module, "Rule", harmed_from(2))
    run_ = trainer(tmp_path / "stopped", guard="stop")
    run_.train()
    assert run_.state.global_step == 3
    assert torch.equal(weights(run_), weights(until_one))  # to the bit
    kept = run_.guard.results(3)
    assert (kept.stopped_at, kept.kept_step) == (3, 1)
    assert list(kept.verdicts) == [0, 1, 2, 3]
    assert "after step 1: harm" in kept.reason


def test_harm_at_the_very_end_is_undone_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_three = trainer(tmp_path / "three", max_steps=3, save_steps=3)
    until_three.train()
    monkeypatch.setattr(guard_module, "Rule", harmed_from(4))
    run_ = trainer(tmp_path / "late", guard="stop")
    run_.train()
    assert torch.equal(weights(run_), weights(until_three))
    kept = run_.guard.results(4)
    assert (kept.stopped_at, kept.kept_step) == (None, 3)
    observed = trainer(tmp_path / "observed")
    observed.train()
    kept = observed.guard.results(4)
    assert (kept.kept_step, kept.advised_step) == (4, 3)


def test_a_resumed_run_has_the_same_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "Rule", harmed_from(2))
    whole = trainer(tmp_path / "whole", guard="stop")
    whole.train()
    trainer(tmp_path / "cut", guard="stop", max_steps=2).train()
    resumed = trainer(tmp_path / "cut", guard="stop")
    resumed.train(resume_from_checkpoint=True)
    assert torch.equal(weights(resumed), weights(whole))
    results = [replace(run.guard.results(3), seconds=0.0) for run in (resumed, whole)]
    assert results[0] == results[1]


def test_a_checkpoint_without_its_snapshot_is_not_whole(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", guard="stop")
    whole.train()
    trainer(tmp_path / "cut", guard="stop", max_steps=2).train()
    (tmp_path / "cut" / "checkpoint-2" / "guard-snapshot-1.safetensors").unlink()
    resumed = trainer(tmp_path / "cut", guard="stop")
    resumed.train(resume_from_checkpoint=True)  # afresh
    assert torch.equal(weights(resumed), weights(whole))


def test_the_probe_of_other_questions_is_not_resumed(tmp_path: Path) -> None:
    trainer(tmp_path, max_steps=2).train()
    with pytest.raises(OutputError, match="is of other guard prompts"):
        trainer(tmp_path, probe=3).train(resume_from_checkpoint=True)


def test_dropout_that_is_on_is_not_drawn_from_by_looking(tmp_path: Path) -> None:
    def run_(guard: str) -> RLSCTrainer:
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=128, n_positions=64, n_embd=16, n_layer=1, n_head=2)
        )
        torch.manual_seed(1)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        made = RLSCTrainer(
            model=model,
            args=config(tmp_path / guard, guard=guard, disable_dropout=False, max_steps=2),
            train_dataset=[{"prompt": text} for text in ("1 + 1", "2 + 2", "3 + 3")],
            processing_class=tiny_tokenizer(),
            probe_dataset=[{"prompt": "4 + 4"}],
        )
        made.train()
        return made

    assert torch.equal(weights(run_("observe")), weights(run_("off")))


def test_a_run_without_a_guard_is_resumed_when_it_is_finished(
    tiny_folder: Path, tmp_path: Path
) -> None:
    flags = ("--guard", "off")
    run(*parse(arguments(tiny_folder, tmp_path / "run", *flags)))
    assert results(tmp_path / "run").guard is None
    run(*parse(arguments(tiny_folder, tmp_path / "run", *flags, "--resume")))


def test_a_trainer_that_was_stopped_may_train_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(guard_module, "Rule", harmed_from(2))
        run_ = trainer(tmp_path, guard="stop")
        run_.train()
    assert run_.guard.stopped_at == 3
    run_.train(resume_from_checkpoint=True)
    assert (run_.state.global_step, run_.guard.stopped_at) == (4, None)


def test_the_base_samples_throughout(tmp_path: Path) -> None:
    run_ = trainer(tmp_path, rollout_policy="base")
    sampled = []
    generate = run_.engine.generate

    def spy(prompts, n, *rest, **more):
        if n == 4:
            sampled.append(
                torch.cat([p.flatten() for p in run_.engine._weights._model.parameters()])
            )
        return generate(prompts, n, *rest, **more)

    start = weights(run_).clone()
    run_.engine.generate = spy
    run_.train()
    assert len(sampled) == 4
    assert all(torch.equal(one, start) for one in sampled)
    assert not torch.equal(weights(run_), start)
    assert len(run_.guard.verdicts) == 5  # by the probe, which asks the policy itself
    of_parent = {"step", "epoch", "grad_norm", "learning_rate"}
    for row in read_jsonl(tmp_path / "metrics.jsonl"):
        unknown = row.keys() - METRICS.keys() - of_parent
        assert {name for name in unknown if name.removeprefix("guard/") not in METRICS} == set()
        assert "guard/truncation_rate" in row


def test_brakes_that_leave_all_out_leave_the_weights(tmp_path: Path) -> None:
    run_ = trainer(tmp_path, entropy_floor=100.0, weight_decay=0.0)
    start = weights(run_).clone()
    run_.train()
    assert torch.equal(weights(run_), start)
    assert read_jsonl(tmp_path / "metrics.jsonl")[0]["masked_completions"] == 1


def test_a_whole_run_says_what_was_kept(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(*parse(arguments(tiny_folder, folder, "--guard", "stop")))
    guard = results(folder).guard
    assert set(guard.verdicts) == {0, 1, 2}
    assert guard.probe_questions == 4
    assert guard.reason
    report = (folder / "report.md").read_text()
    assert "## The guard" in report
    assert "held-out questions that are not evaluated on" in report
    evaluated = {row["id"] for row in read_jsonl(folder / "eval/before/evaluation/greedy.jsonl")}
    assert evaluated
    probed = {row["id"] for row in json.loads((folder / "probe.json").read_text())}
    assert not evaluated & probed


def test_a_stopped_run_is_finished_and_its_curve_ends_at_the_kept_step(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "Rule", harmed_from(2))
    folder = tmp_path / "run"
    flags = ("--guard", "stop", "--guard_interval", "1", "--max_steps", "6", "--eval_steps", "1")
    run(*parse(arguments(tiny_folder, folder, *flags)))
    stopped = results(folder)
    assert (stopped.steps, stopped.guard.kept_step) == (3, 1)
    assert [point.step for point in stopped.curve] == [0, 1, 2]
    after = timeless(stopped.evaluation.tuned.scores)
    assert timeless(stopped.curve[1].scores) == after
    before = (folder / "results.json").read_bytes()
    run(*parse(arguments(tiny_folder, folder, *flags, "--resume")))
    assert (folder / "results.json").read_bytes() == before
    assert "stopped at step 3" in (folder / "report.md").read_text()


def test_a_run_that_died_goes_on_with_its_guard(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    flags = ("--guard", "stop", "--max_steps", "3")
    run(*parse(arguments(tiny_folder, whole, *flags)))
    record = RLSCTrainer._record_step

    def die(self, step, *rest):
        if step == 2:
            raise NonFiniteError("died")
        return record(self, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(RLSCTrainer, "_record_step", die)
        assert _main(["train", *arguments(tiny_folder, cut, *flags)]) == 1
    (cut / "checkpoint-2" / "guard-snapshot-0.safetensors").unlink()  # it died while saving
    run(*parse(arguments(tiny_folder, cut, *flags, "--resume")))
    guards = [replace(results(folder).guard, seconds=0.0) for folder in (cut, whole)]
    assert guards[0] == guards[1]
    assert figures(cut) == figures(whole)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--rollout_policy base --objective dpo", "rollout_policy base is not for dpo"),
        ("--rollout_policy base --beta 0.1", "exclude each other"),
        ("--rollout_policy base --entropy_floor 1", "policy's own samples"),
        ("--rollout_policy base --guard stop --guard_probe_size 0", "guard stop sees nothing"),
        ("--guard sometimes", "guard must be one of"),
        ("--guard_patience 0", "guard_patience"),
        ("--guard_interval 0", "guard_interval"),
        ("--guard_snapshots 0", "guard_snapshots"),
        ("--weight_clip 0", "weight_clip must be above 0"),
        ("--entropy_floor nan", "entropy_floor must be above 0"),
        ("--rollout_policy other", "rollout_policy must be one of"),
        ("--skip_unanimous true --num_generations 1", "skip_unanimous compares siblings"),
        ("--beta 0.1 --skip_weight_below 0.5", "skip_weight_below is for objective rlsc alone"),
        ("--guard_questions nowhere.jsonl", "nowhere.jsonl"),
        ("--guard_probe_size -1", "guard_probe_size"),
    ],
)
def test_bad_settings_are_one_line(
    flags: str, said: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(["train", *arguments(tiny_folder, tmp_path / "run", *flags.split())]) == 2
    line = capsys.readouterr().err.strip()
    assert said in line
    assert "\n" not in line
    assert not (tmp_path / "run").exists()
