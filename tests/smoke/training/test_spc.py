"""Self-Play Critic on `derivations` through the trainer and the command line, with a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rlsc import RLSCTrainer
from rlsc.commands.arguments import parse
from rlsc.commands.compare import _runs, parse_compare
from rlsc.commands.main import _main, recipes_folder
from rlsc.commands.train import check_together
from rlsc.environments import drive_examination
from rlsc.environments.spc.derivations import wrong_steps
from rlsc.environments.spc.environment import SPC
from rlsc.records.jsonl import read_jsonl
from rlsc.records.results import ComparisonResults, read_results_of
from rlsc.types import Ask, CompletionGroup, Prompt
from tests.ascii_model import ascii_model, ascii_tokenizer, save_ascii_model
from tests.smoke.conftest import in_this_process
from tests.smoke.objectives.test_objectives import Forbidden
from tests.smoke.training.test_games import cut_and_whole
from tests.smoke.training.test_trainer import config

RECIPE = recipes_folder() / "spc-derivations.yaml"
PLAIN = {"per_device_train_batch_size": 8, "num_generations": 16}
GAME = {"games": 3, "held_out": 2, "exploit_places": 0, "replay": 4, "replay_share": 1.0}


@pytest.fixture(autouse=True)
def short_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without worked examples, which this model reads by the character."""

    def prompt(role: str, place: Any, step: Any) -> str:
        return f"{role} {place.terms} {place.done} {step}:"

    monkeypatch.setattr("rlsc.environments.spc.prompts._rendered", prompt)


class Written(SPC):
    """What a model of characters cannot write is written for it, half of it."""

    def _rewrite(self, games: Any, places: Any, seed: int) -> Any:
        yield from super()._rewrite(games, places, seed)
        for one in games.rewrites[::2]:
            one.step, one.reason = wrong_steps(one.place)[seed % 7], ""


def trainer(folder: Path, game: SPC | None = None, **changes: Any) -> RLSCTrainer:
    settings = {"objective": "trr", "temperature": 1.0, "guard": "off", "eval_steps": 2, **PLAIN}
    return RLSCTrainer(
        model=ascii_model(),
        args=config(folder, **(settings | changes)),
        processing_class=ascii_tokenizer(),
        environment=game or Written(**GAME),
        answer_key=Forbidden({}),
    )


def test_a_run_that_goes_on_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """To the bit, without a look at any answer: tasks.jsonl, completions, weights, held-out."""
    whole = cut_and_whole(trainer, tmp_path)
    rows = read_jsonl(whole / "completions" / "3.jsonl")
    assert {row["pool"] for row in rows} == {"sneaky", "critic"}
    tasks = read_jsonl(whole / "tasks.jsonl")
    assert {row["kind"] for row in tasks} == {"rewritten", "untouched", "replayed"}
    for step in range(4):  # the balance of every step
        kinds = [row["kind"] for row in tasks if row["step"] == step and not row["reason"]]
        assert kinds.count("untouched") * 2 == len(kinds) > 3
    assert read_jsonl(whole / "metrics.jsonl")[0]["spc/games"] == 3


def test_a_frozen_opponent_is_the_model_before_training(tmp_path: Path) -> None:
    """At a rate that changes all, its texts of a seed stay those of an untrained game."""
    game = Written(**{**GAME, "replay": 0, "train_roles": "sneaky", "opponent": "base"})
    run = trainer(tmp_path, game, learning_rate=0.3, max_steps=2)
    untrained = run.sampler.collect(game, 5, [])
    before = [row["verdicts"] for row in game.records() if not row["reason"]]
    first = [one.text for pool in untrained.pools for one in pool.completions]
    run.train()
    trained = run.sampler.collect(game, 5, [])
    assert [one.text for pool in trained.pools for one in pool.completions] != first
    assert [row["verdicts"] for row in game.records() if not row["reason"]] == before
    assert {pool.name for pool in trained.pools} == {"sneaky"}


def test_texts_of_an_environments_own_are_weighed_as_the_model_does(tmp_path: Path) -> None:
    """log p of each token behind the prompt, at temperature 1 whatever the run's is."""
    run = trainer(tmp_path, temperature=0.5)
    groups: list[CompletionGroup] = []

    def examination() -> Any:
        groups.extend((yield [Ask("a", "Sum: 3", scored=("yes", " n")), Ask("b", "1", n=2)]))
        return {}

    class Weighs(SPC):
        def examine(self, seed: int) -> Any:
            return examination()

    run.sampler.examine(Weighs(), run.progress.aside)
    tokenizer, model = ascii_tokenizer(), ascii_model()
    assert [one.text for one in groups[0].completions] == ["yes", " n"]
    assert len(groups[1].completions) == 2
    for completion in groups[0].completions:
        ids = tokenizer("Sum: 3" + completion.text, add_special_tokens=False, return_tensors="pt")
        logps = torch.log_softmax(model(ids["input_ids"]).logits[0], -1)
        start = len("Sum: 3")
        expected = [float(logps[start - 1 + n, id]) for n, id in enumerate(completion.token_ids)]
        assert completion.logps == pytest.approx(expected, abs=1e-4)
        assert len(completion.logps) == len(completion.text)


def test_the_command_line_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_ascii_model(tmp_path / "tiny")
    flags = f"train --model {model} --environment spc --objective trr --max_steps 1 --guard off"
    flags += (
        " --max_completion_length 24 --temperature 1 --eval_questions arithmetic --eval_limit 2"
    )
    flags += " --bf16 false --disable_tqdm --shaping raw --save_strategy no --eval_max_new_tokens 4"
    own = (
        "source=derivations,games=4,held_out=2,exploit_places=1,opponent=random,train_roles=critic"
    )
    command = [*flags.split(), "--environment_settings", own, "--output_dir", str(tmp_path / "run")]
    compared, _ = parse_compare(["--config", str(RECIPE)])
    dry = [*_runs(compared, [])[0].flags, "--model", str(model), "--dry_run"]
    assert _main(["train", *dry, "--output_dir", str(tmp_path / "dry")]) == 0
    assert "critic (99, 99, 99, 99, 99) 3 396 + 99 = 495:" in capsys.readouterr().out
    assert _main(command) == 0, capsys.readouterr().err
    (metrics,) = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert metrics["spc/games"] == 4
    results = (tmp_path / "run" / "results.json").read_text()
    assert "spc/exploit_max" in results
    capsys.readouterr()
    bad = [*flags.split(), "--environment_settings", "opponent=base", "--output_dir", "x"]
    assert _main(bad) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_recipe_lists_its_controls_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _main(["compare", "--config", str(RECIPE), "--dry_run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 8 + 1
    assert lines[1].startswith("run 2 of 24: random corruptions, seed 0 (to be made) runs/")
    assert lines[-1].startswith("dry run: ")
    assert not list(tmp_path.iterdir())
    compared, _ = parse_compare(["--config", str(RECIPE)])
    games = {
        run.label: check_together(*parse([*run.flags]))
        for run in _runs(compared, [])
        if run.seed == 0
    }
    # `constant` and the start play as `spc` does.
    assert len({repr(game) for game in games.values()}) == 6
    assert [of.opponent for of in games.values()] == [  # type: ignore[attr-defined]
        *("current", "random", "base", "base", *["current"] * 4),
    ]
    wrong = compared.methods | {"dry": {"objective": "trr", "dry_run": True}}
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump({"objectives": [wrong], "output_dir": "x"}))
    assert _main(["compare", "--config", str(file)]) == 2


def test_a_comparison_goes_through_to_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Self-play and its decisive control: a, b and exploitability, before and after."""
    monkeypatch.setattr("rlsc.commands.compare._in_process", in_this_process)
    game = {"games": 2, "critics": 1, "held_out": 2, "exploit_places": 1, "terms": 3, "digits": 1}
    chance = game | {"opponent": "random", "train_roles": "critic"}
    content: dict[str, Any] = {
        "model": str(save_ascii_model(tmp_path / "tiny")),
        **{"output_dir": str(tmp_path / "out"), "environment": "spc", "guard": "off"},
        "objectives": [
            {"spc": {"objective": "trr", "environment_settings": game}},
            {"chance": {"objective": "trr", "environment_settings": chance}},
        ],
        **{"eval_questions": "arithmetic", "max_steps": 1, "max_completion_length": 4},
        **{"eval_limit": 2, "eval_samples": 1, "save_strategy": "no", "temperature": 1.0},
        **{"bf16": False, "disable_tqdm": True, "temperatures": [0], "seeds": [0]},
        **{"eval_max_new_tokens": 4, "learning_rate": 0.1},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    assert _main(["compare", "--config", str(tmp_path / "recipe.yaml")]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    header = " ".join(next(x for x in said.out.splitlines() if "exploit, max" in x).split())
    assert header == "objective a b exploit, mean exploit, max"
    found = read_results_of(ComparisonResults, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    for method in found.methods:
        (run,) = method.runs
        assert run.examined is not None
        assert sorted(run.examined) == [0, 1]
        first, last = (run.examined[at]["spc/exploit_mean"] for at in (0, 1))
        assert first != last
        (row,) = (r for r in page.splitlines() if r.startswith(f"| {method.label} |") and "→" in r)
        assert f"{first:.2f} → {last:.2f}" in row


def test_scored_texts_are_no_completions_to_train_on() -> None:
    from rlsc.environments import drive
    from rlsc.errors import ConfigError
    from rlsc.types import Pool

    def play(ask: Ask, pooled: bool) -> Any:
        groups = yield [ask]
        return [Pool("p", groups, [[0.0]])] if pooled else []

    def answer(wave: Any) -> list[CompletionGroup | None]:
        return [CompletionGroup(Prompt(ask.id, "", (1,)), [None]) for ask in wave]  # type: ignore[list-item]

    with pytest.raises(ConfigError, match="texts that were not sampled"):
        drive(play(Ask("a", "1", scored=("x",)), True), answer)
    with pytest.raises(ConfigError, match="texts of its own"):
        drive(play(Ask("a", "1", scored=("x",), policy="base"), False), answer)
    assert drive_examination(None, answer) == {}
