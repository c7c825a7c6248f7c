"""The game on solutions, trained: to the bit where a run goes on, and from the command line."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from rlsc import RLSCTrainer
from rlsc.commands.main import _main
from rlsc.environments.spc.environment import SPC
from rlsc.environments.spc.solutions import TextPlace
from rlsc.errors import ConfigError
from rlsc.records import read_jsonl
from rlsc.training.supervised import supervised_rows
from rlsc.types import AnswerKey, Completion
from tests.ascii_model import ascii_model, ascii_tokenizer, save_ascii_model
from tests.smoke.conftest import write_jsonl
from tests.smoke.training.test_trainer import config, weights

ROWS = [{"id": f"q{n}", "prompt": [{"role": "user", "content": f"{n} + 3?"}]} for n in range(6)]
KEY = AnswerKey({f"q{n}": str(n + 3) for n in range(6)})


class Lucky(SPC):
    """The tiny model can neither solve nor rewrite: half of it is done for it."""

    def take_judge(self, judge: Any) -> None:
        def by_chance(said: Sequence[tuple[str, str]]) -> list[bool]:
            assert True not in judge(said)
            return ["s" in text.rpartition("@")[2] for _, text in said]

        super().take_judge(by_chance)

    def _rewrite(self, games: Any, places: Any, seed: int) -> Any:
        yield from super()._rewrite(games, places, seed)
        for one in games.rewrites[::2]:
            one.step, one.reason = f"@{zlib.crc32(one.place.step.encode()) % 90}", ""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts without worked examples, and every solution of three steps of a character."""

    def prompt(role: str, problem: str, done: Any, step: str) -> str:
        return f"{role} {problem} {step}:"

    def places(question: str, problem: str, answer: Completion, steps: str) -> list[TextPlace]:
        text = answer.text.replace("\n", " ").ljust(3, "-")
        return [
            TextPlace(question, problem, text[:n], text[n].replace(" ", "-") + "@s", "", steps)
            for n in range(3)
        ]

    monkeypatch.setattr("rlsc.environments.spc.prompts._of_text", prompt)
    monkeypatch.setattr("rlsc.environments.spc.text_games.places_of", places)
    # Nearly all that this model writes is cut off.
    monkeypatch.setattr("rlsc.environments.spc.text_games._was_cut_off", lambda completion: False)


def trainer(folder: Path, game: SPC | None = None, **changes: Any) -> RLSCTrainer:
    own = {"source": "solutions", "games": 4, "samples": 1, "replay": 4, "replay_share": 0.5}
    given = {"answer_key": KEY} | {n: changes.pop(n) for n in ("answer_key",) if n in changes}
    settings = {"objective": "trr", "temperature": 1.0, "guard": "off", "save_steps": 2}
    settings |= {"per_device_train_batch_size": 2, "max_completion_length": 6, "max_steps": 3}
    settings |= {"num_generations": 16}
    return RLSCTrainer(
        model=ascii_model(),
        args=config(folder, **(settings | changes)),
        train_dataset=ROWS,
        processing_class=ascii_tokenizer(),
        environment=game or Lucky(**own),
        **given,
    )


def test_a_run_that_goes_on_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """To the bit, in the middle of its questions: tasks.jsonl, completions, weights, state."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run = trainer(whole)
    run.train()
    trainer(cut, max_steps=2).train()
    resumed = trainer(cut)
    resumed.train(resume_from_checkpoint=True)
    assert (cut / "tasks.jsonl").read_bytes() == (whole / "tasks.jsonl").read_bytes()
    for step in range(3):
        name = f"completions/{step}.jsonl"
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert torch.equal(weights(run), weights(resumed))
    state = run.environment.state()
    assert state == resumed.environment.state()
    assert state["kept"]
    tasks = read_jsonl(whole / "tasks.jsonl")
    assert {"rewritten", "untouched", "replayed"} == {row["kind"] for row in tasks}
    assert {row["question"] for row in tasks} <= set(KEY)
    for step in range(3):  # the balance of every step
        kinds = [row["kind"] for row in tasks if row["step"] == step and not row["reason"]]
        assert kinds.count("untouched") * 2 == len(kinds) > 0
    assert run.labels_used == 6
    assert run.guard is None


def test_a_guard_does_not_play_the_game_once_more(tmp_path: Path) -> None:
    """Its rollouts do not compare from step to step, and its last look must not change the game."""
    own = {"source": "solutions", "games": 2, "samples": 1}
    run = trainer(tmp_path, Lucky(**own), guard="observe", max_steps=1)
    assert run.guard is None
    assert run.environment.is_game
    assert not run._policy_samples


def test_it_may_begin_by_a_file_of_completions(tmp_path: Path) -> None:
    """As any game; it has none of its own, since nothing here knows the truth."""
    said = [{"prompt": f"{n} + 3 =", "completion": f" {n + 3}"} for n in range(2)]
    file = write_jsonl(tmp_path / "rows.jsonl", said)
    start = {"sft_rows": str(file), "sft_steps": 1, "sft_batch_size": 2, "max_steps": 2}
    own = config(tmp_path, **start | {"sft_rows": "environment"})
    with pytest.raises(ConfigError, match="environment: SPC writes none of its own: name a file"):
        supervised_rows(own, SPC(source="solutions"))
    trainer(tmp_path / "run", **start, save_strategy="no").train()
    metrics = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert [row.get("supervised") for row in metrics] == [1.0, None]
    first = read_jsonl(tmp_path / "run" / "completions" / "0.jsonl")
    assert sorted(row["text"] for row in first) == [" 3", " 4"]
    assert {row["step"] for row in read_jsonl(tmp_path / "run" / "tasks.jsonl")} == {1}


def test_other_answers_are_another_run(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    others = AnswerKey({**{name: KEY[name] for name in KEY}, "q3": "7"})
    again = trainer(tmp_path, answer_key=others)
    changed = {n for n in run.identity if run.identity[n] != again.identity.get(n)}
    assert len(changed) == 1
    with pytest.raises(ConfigError, match="1 of 6 training questions have none"):
        trainer(tmp_path, answer_key=AnswerKey(dict.fromkeys(list(KEY)[1:], "1")))


def test_the_command_line_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_ascii_model(tmp_path / "tiny")
    rows = [{"id": f"q{n}", "question": f"{n} + 3?", "answer": str(n + 3)} for n in range(4)]
    rows[3]["answer"] = r"\begin{"
    file = write_jsonl(tmp_path / "sums.jsonl", rows)
    bare = write_jsonl(tmp_path / "bare.jsonl", [{"question": row["question"]} for row in rows])
    flags = f"train --model {model} --environment spc --objective trr --max_steps 1 --guard off"
    flags += " --max_completion_length 6 --temperature 1 --eval_limit 1 --eval_max_new_tokens 2"
    flags += " --eval_samples 0 --bf16 false --disable_tqdm --save_strategy no --save_model false"
    flags += " --per_device_train_batch_size 2 --environment_settings"
    own = "source=solutions,games=2,samples=1"
    folder = tmp_path / "run"
    good = [*flags.split(), own, "--questions", str(file), "--output_dir", str(folder)]
    assert _main([*good, "--dry_run"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "the environment does not say how much it samples" in said
    unreadable = "note: 1 of 4 reference answers do not parse"
    assert said.count(unreadable) == 1
    assert _main(good) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.count(unreadable) == 1
    (metrics,) = read_jsonl(folder / "metrics.jsonl")
    assert metrics["spc/confirmed_share"] == 0  # this model solves nothing
    assert metrics["grad_norm"] == 0  # so the step teaches nothing
    page = (folder / "report.md").read_text("utf-8")
    assert "with 4 labels" in page
    assert "unconfirmed" in page
    for given, message in {
        (own,): "--questions is missing",
        (own, "--questions", str(bare)): "4 of 4 training questions have none",
        ("source=derivations", "--questions", str(file)): "makes its own questions",
        (f"{own},opponent=random,train_roles=critic", "--questions", str(file)): "corrupts sums",
    }.items():
        capsys.readouterr()
        assert _main([*flags.split(), *given, "--output_dir", str(tmp_path / "no")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert not (tmp_path / "no").exists()
