"""Absolute Zero played with scripted texts: what is asked, what is paid, what is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rlsc.config.run import RunConfig
from rlsc.environments import create_environment, drive, drive_beginning, drive_examination
from rlsc.environments.azr.environment import AZR
from rlsc.environments.azr.sums import run
from rlsc.environments.azr.tasks import KINDS
from rlsc.errors import ConfigError
from rlsc.types import Ask, CompletionGroup, Pool
from tests.unit.environments.azr.players import Says, answer, half, proposed, solved

SMALL = {"batch": 4, "seed_size": 6, "seeds": "uniform", "inputs": 4}
ALL = "deduction+abduction+induction"


def game(**settings: Any) -> AZR:
    made = AZR(**(SMALL | settings))
    drive_beginning(made.begin(7), answer(half))
    return made


def play(made: AZR, says: Says = half, step: int = 0) -> tuple[list[Pool], list[list[Ask]]]:
    waves: list[list[Ask]] = []

    def seen(wave: list[Ask]) -> list[CompletionGroup | None]:
        waves.append(list(wave))
        return answer(says)(wave)

    return drive(made.play(step, 100 + step, []), seen), waves


def rewards(pools: list[Pool], name: str) -> list[float]:
    (pool,) = [pool for pool in pools if pool.name == name]
    return [reward for of_group in pool.rewards or () for reward in of_group]


def test_a_step_has_three_waves_and_a_pool_of_each_role_and_kind() -> None:
    made = game(kinds=ALL)
    before = {kind: len(made._buffer.of(kind)) for kind in KINDS}
    pools, (propose, estimate, solve) = play(made)
    assert [ask.n for ask in propose] == [1] * 12
    assert {ask.n for ask in estimate} == {4}
    assert [ask.n for ask in solve] == [1] * 12
    assert {ask.stop for wave in (propose, estimate, solve) for ask in wave} == {("\n",)}
    assert sorted(pool.name for pool in pools) == sorted(
        f"{role}/{kind}" for role in ("propose", "solve") for kind in KINDS
    )
    assert {len(pool.completions) for pool in pools} == {4}
    assert rewards(pools, "propose/deduction") == [0.5] * 4  # half of four are right
    assert rewards(pools, "solve/induction") == [1.0] * 4  # the first sample is right
    records = made.records()
    assert [row["rate"] for row in records] == [0.5] * 12
    for kind in KINDS:
        new = [task for task in made._buffer.of(kind) if task.born == 0]
        assert len(made._buffer.of(kind)) == before[kind] + len(new)
        assert {task.id for task in new} <= {row["id"] for row in records}
        assert all(task.references for task in new)
    metrics = made.metrics()
    assert metrics["azr/valid_share"] == metrics["azr/format_share_propose"] == 1
    assert metrics["azr/solve_rate_abduction"] == metrics["azr/learnability_abduction"] == 0.5
    assert metrics["azr/solver_accuracy_deduction_new"] == 1
    assert metrics["azr/reward_propose_deduction"] == 0.5
    assert metrics["azr/solve_skipped"] == 0
    assert metrics["azr/best_rate"] == pytest.approx(0.37, abs=0.001)


def test_estimates_are_sampled_as_training_is_and_what_was_cut_off_is_not_right() -> None:
    def cut(ask: Ask, sample: int) -> str | None:
        return None if ask.n > 1 and sample == 3 else half(ask, sample)

    made = game(kinds="deduction")
    play(made, cut)
    assert {row["rate"] for row in made.records()} == {0.5}  # 2 of 4, and not 2 of 3
    none = game(kinds="deduction")
    play(none, lambda ask, sample: None if ask.n > 1 and sample < 3 else half(ask, sample))
    assert {row["rate"] for row in none.records()} == {0.0}


def test_proposals_are_paid_by_the_table() -> None:
    def says(ask: Ask, sample: int) -> str | None:
        if ask.id == "propose/deduction/0":
            return "5 + 0"  # degenerate
        if ask.id == "propose/deduction/1":
            return None
        if ask.id == "propose/deduction/2":
            return "what?"
        if ask.id.startswith("estimate"):
            return solved(ask)  # always
        return half(ask, sample)

    made = game(kinds="deduction")
    pools, _ = play(made, says)
    assert rewards(pools, "propose/deduction") == [-0.5, -1, -1, 0]
    reasons = [row["reason"] for row in made.records()]
    assert reasons == ["degenerate", "truncated", "bad_format", ""]
    metrics = made.metrics()
    assert metrics["azr/refused_degenerate"] == metrics["azr/valid_share"] == 0.25
    assert metrics["azr/format_share_propose"] == 0.5
    assert metrics["azr/mastered_deduction"] == 1
    coded = game(kinds="deduction", boundary_reward=-0.5, invalid_reward=-1.0)
    assert rewards(play(coded, says)[0], "propose/deduction") == [-1, -1, -1, -0.5]


def test_a_duplicate_is_paid_and_not_kept_twice_or_refused() -> None:
    def same(ask: Ask, sample: int) -> str | None:
        return "11 + 12" if ask.id.startswith("propose") else half(ask, sample)

    made = game(kinds="deduction")
    pools, waves = play(made, same)
    assert rewards(pools, "propose/deduction") == [0.5] * 4
    assert [row["duplicate"] for row in made.records()] == [False, True, True, True]
    assert sum(task.born == 0 for task in made._buffer.of("deduction")) == 1
    assert made.metrics()["azr/duplicates"] == 0.75
    pools, _ = play(made, same, step=1)
    assert [row["duplicate"] for row in made.records()] == [True] * 4
    strict = game(kinds="deduction", reject_duplicates=True)
    play(strict, same)
    pools, waves = play(strict, same, step=1)
    assert rewards(pools, "propose/deduction") == [-0.5] * 4
    assert {row["reason"] for row in strict.records()} == {"duplicate"}
    assert len(waves) == 2  # nothing to estimate


def test_new_tasks_are_solved_first_and_the_rest_is_of_the_buffer_without_them() -> None:
    made = game(kinds="deduction", batch=4)

    def few(ask: Ask, sample: int) -> str | None:
        bad = ask.id in ("propose/deduction/0", "propose/deduction/1")
        return "?" if bad else half(ask, sample)

    _, (_, _, solve) = play(made, few)
    new = [task for task in made._buffer.of("deduction") if task.born == 0]
    prompts = [str(ask.prompt).splitlines()[-1] for ask in solve]
    assert len(set(prompts)) == 4
    assert {f"{t.input} {t.program[2:]} =" for t in new} == set(prompts[: len(new)])


def test_the_codes_order_solves_the_tasks_of_the_step_before_in_one_wave() -> None:
    made = game(kinds="deduction", order="code")
    _, waves = play(made)
    assert [ask.id.split("/")[0] for ask in waves[0]] == ["propose"] * 4 + ["solve"] * 4
    assert len(waves) == 2
    assert "azr/solver_accuracy_deduction_new" not in made.metrics()
    first = {f"{t.input} {t.program[2:]} =" for t in made._buffer.of("deduction") if t.born == 0}
    _, waves = play(made, step=1)
    asked = [str(a.prompt).splitlines()[-1] for a in waves[0] if a.id.startswith("solve")]
    assert set(asked[: len(first)]) == first
    assert made.metrics()["azr/solver_accuracy_deduction_new"] == 1


def test_estimates_may_be_trained_on_beside_older_tasks() -> None:
    made = game(kinds="deduction", train_estimates=True)
    pools, (_, _, solve) = play(made)
    assert len(rewards(pools, "solve/deduction")) == 4 + 4 * 4
    new = {f"{t.input} {t.program[2:]} =" for t in made._buffer.of("deduction") if t.born == 0}
    assert not new & {str(ask.prompt).splitlines()[-1] for ask in solve}
    by_task = game(kinds="deduction", train_estimates=True, pool_by="task")
    pools, (_, _, solve) = play(by_task)
    assert {ask.n for ask in solve} == {4}
    tasks = [pool for pool in pools if pool.name.startswith("solve")]
    assert [len(pool.completions) for pool in tasks] == [4] * 8
    assert len({pool.name for pool in tasks}) == 8


@pytest.mark.parametrize(
    ("settings", "names", "waves"),
    [
        ({"train_roles": "solve"}, {"solve/deduction"}, 3),
        ({"train_roles": "propose"}, {"propose/deduction"}, 2),
        ({"proposer": "none"}, {"solve/deduction"}, 1),
        ({"proposer": "uniform"}, {"solve/deduction"}, 1),
    ],
)
def test_controls_play_a_part_of_it(settings: dict, names: set[str], waves: int) -> None:
    made = game(kinds="deduction", **settings)
    before = len(made._buffer.of("deduction"))
    pools, asked = play(made)
    assert ({pool.name for pool in pools}, len(asked)) == (names, waves)
    grows = settings.get("proposer") != "none"
    assert (len(made._buffer.of("deduction")) > before) == grows
    assert len(made.records()) == (0 if not grows else 4)


def test_control_rewards_do_not_look_at_what_is_right() -> None:
    right, wrong = (
        [rewards(play(game(kinds="deduction", reward="random"), says)[0], name) for name in names]
        for says, names in (
            (half, ("propose/deduction", "solve/deduction")),
            (lambda a, s: half(a, 1), ("propose/deduction", "solve/deduction")),
        )
    )
    assert right == wrong
    assert {value for values in right for value in values} == {0.0, 1.0}

    def mixed(ask: Ask, sample: int) -> str | None:
        return "no" if ask.id.endswith("/1") else half(ask, 1)

    pools, _ = play(game(kinds="deduction", reward="format"), mixed)
    assert rewards(pools, "propose/deduction") == [0, -1, 0, 0]
    assert rewards(pools, "solve/deduction") == [0, -1, 0, 0]


@pytest.mark.parametrize(
    ("keep", "rate", "kept"),
    [
        ("all", 1.0, True),
        ("not_solved", 1.0, False),
        ("not_solved", 0.0, True),
        ("learnable", 0.0, False),
        ("learnable", 0.5, True),
    ],
)
def test_which_tasks_are_kept(keep: str, rate: float, kept: bool) -> None:
    def says(ask: Ask, sample: int) -> str | None:
        if ask.id.startswith("estimate"):
            return solved(ask) if sample < 4 * rate else "-7"
        return half(ask, sample)

    made = game(kinds="deduction", keep=keep)
    _, (propose, _, solve) = play(made, says)
    new = {f"{proposed(ask)} =" for ask in propose}  # solved, whether they are kept or not
    assert new <= {str(ask.prompt).splitlines()[-1] for ask in solve}
    assert any(task.born == 0 for task in made._buffer.of("deduction")) == kept


def test_a_question_that_does_not_fit_is_a_refusal() -> None:
    made = game(kinds="deduction")

    def tight(wave: list[Ask]) -> list[CompletionGroup | None]:
        groups = answer(half)(wave)
        return [None if "estimate/0" in a.id else g for a, g in zip(wave, groups, strict=True)]

    drive(made.play(0, 0, []), tight)
    assert made.records()[0]["reason"] == "too_long"
    assert made.metrics()["azr/prompts_too_long"] == 1


def test_the_probe_is_held_out_and_examined_greedily() -> None:
    made = game(kinds="deduction+induction", probe_tasks=3, seed_size=5)
    kept = {task.key for task in made._buffer.of("deduction")}
    held = [task for task in made._probe if task.kind == "deduction"]
    assert (len(kept), len(held)) == (5, 3)
    assert not kept & {task.key for task in held}
    examination = made.examine(0)
    figures = drive_examination(examination, answer(half))
    assert figures["azr/probe_accuracy_deduction"] == figures["azr/probe_format_induction"] == 1
    assert game().examine(0) is None


@pytest.mark.parametrize("proposer", ["policy", "uniform"])
def test_what_is_held_out_is_never_trained_on(proposer: str, monkeypatch) -> None:
    made = game(kinds="deduction", probe_tasks=1, train_estimates=True, proposer=proposer)
    (held,) = made._probe
    monkeypatch.setattr(made._language, "drawn", lambda *_: held)

    def again(ask: Ask, sample: int) -> str | None:
        if ask.id == "propose/deduction/2":
            return f"{held.input} {held.program[2:]}"
        return half(ask, sample)

    pools, waves = play(made, again)
    assert not made._buffer.holds(held)
    asked = {ask.id: str(ask.prompt) for wave in waves for ask in wave}
    trained = {group.prompt.id for pool in pools for group in pool.groups}
    shown = f"{held.input} {held.program[2:]} ="
    assert not [name for name in trained if asked[name].endswith(shown)]
    if proposer == "policy":
        assert [name for name in asked if asked[name].endswith(shown)] == ["estimate/2"]
        assert rewards(pools, "propose/deduction") == [0.5] * 4


def test_ten_steps_without_a_task_have_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    made = game(kinds="deduction")
    for step in range(12):
        play(made, lambda ask, s: "?" if "propose" in ask.id else half(ask, s), step)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == (step == 9)
    assert lines == []
    again = AZR(**SMALL)
    again.load(made.state())
    assert again._barren == 12
    play(made)
    assert made._barren == 0


def test_induction_can_be_played_alone() -> None:
    made = game(kinds="induction")
    pools, _ = play(made)
    assert {pool.name for pool in pools} == {"propose/induction", "solve/induction"}
    assert set(rewards(pools, "propose/induction")) == {0.5}


def test_every_metric_has_its_line_on_the_page() -> None:
    page = (Path(__file__).parents[4] / "docs" / "azr.md").read_text("utf-8")
    made = game(kinds=ALL)
    play(made, lambda ask, s: "?" if ask.id.endswith("/0") else half(ask, s))
    for name in made.metrics():
        general = re.sub("|".join(KINDS), "KIND", name.removeprefix("azr/"))
        general = re.sub("refused_.*", "refused_REASON", general)
        assert f"`{general}`" in page, name


def test_the_model_makes_the_seeds() -> None:
    made = AZR(batch=2, seed_size=5, kinds=ALL, inputs=4)
    drive_beginning(made.begin(0), answer(half))
    assert {kind: len(made._buffer.of(kind)) for kind in KINDS} == dict.fromkeys(KINDS, 5)
    records = made.records()
    assert {row["kind"] for row in records} == {"deduction", "induction"}  # abduction has the same
    for task in made._buffer.of("abduction"):
        assert run(task.program, task.input) == task.output


def test_a_model_that_cannot_propose_is_told_why() -> None:
    made = AZR(seed_size=5, seed_attempts=12, kinds="deduction")
    says = lambda ask, sample: "hm" if "/1" in ask.id else "5 + 0"  # noqa: E731
    with pytest.raises(ConfigError) as caught:
        drive_beginning(made.begin(0), answer(says))
    said = str(caught.value)
    assert "3 different deduction tasks of 5 in 12 attempts" in said
    assert "degenerate 9, bad_format 3" in said
    assert "take a larger model" in said


def test_the_seeds_of_a_file_are_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = game(kinds="deduction+abduction")
    file = tmp_path / "tasks.jsonl"
    rows = [{"step": -1, **row} for row in made.records()]
    rows += [
        {"step": 3, "kind": "deduction"},
        {"step": -1, "kind": "deduction", "reason": "syntax"},
    ]
    wrong = {"kind": "deduction", "program": "x + 2", "input": "2", "output": "5"}
    file.write_text("\n".join(json.dumps(row) for row in [*rows, wrong]))  # no newline at the end
    again = AZR(kinds="deduction+abduction", seed_tasks=str(file), batch=4)
    drive_beginning(again.begin(0), answer(half))
    assert [t.key for t in again._buffer.of("abduction")] == [
        t.key for t in made._buffer.of("abduction")
    ]
    assert "1 of 7 seed_tasks refused: wrong_output 1" in capsys.readouterr().out
    assert again.fingerprints() != game().fingerprints() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ('{"kind": "deduction"\n', "line 1 is no JSON"),
        ("[1]\n", "line 1 is no task"),
    ],
)
def test_a_file_of_seeds_that_cannot_be_read_is_said_before_anything(
    tmp_path: Path, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "seeds.jsonl").write_text(text)
    with pytest.raises(ConfigError, match=said):
        AZR(seed_tasks=str(tmp_path / "seeds.jsonl")).fingerprints()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"kind": "magic"}, "line 1: kind must be one of deduction"),
        ({"kind": "deduction", "program": "x + 2"}, "line 1 has no 'input'"),
        ({"kind": "induction", "program": "x + 2", "pairs": [["1"]]}, "line 1: program, input"),
        ({"kind": "induction", "program": "x + 2", "pairs": None}, "has 0 deduction tasks"),
        (
            {"kind": "deduction", "program": "x + 2", "input": "1", "output": "3"},
            "has 1 deduction tasks that can be played, and 2 are needed",
        ),
    ],
)
def test_rows_of_a_file_of_seeds(tmp_path: Path, row: dict, said: str) -> None:
    file = tmp_path / "seeds.jsonl"
    file.write_text(json.dumps(row))
    with pytest.raises(ConfigError, match=said):
        drive_beginning(AZR(kinds="deduction", seed_tasks=str(file)).begin(0), answer(half))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kinds": "deduction+magic"}, "kinds must be some of"),
        ({"kinds": ""}, "kinds must be some of"),
        ({"estimates": 1}, "estimates must be 2 or more, not 1"),
        ({"batch": 1}, "batch must be 2 or more, not 1"),
        ({"language": "java"}, "language must be one of sums, python, not 'java'"),
        ({"order": "code", "train_estimates": True}, "order=code solves tasks before"),
        ({"pool_by": "task"}, "add train_estimates=true"),
        ({"proposer": "none", "train_roles": "propose"}, "nothing to train on"),
        ({"boundary_reward": -0.7}, "boundary_reward must be 0 or -0.5, not -0.7"),
        ({"invalid_reward": 0}, "invalid_reward must be -0.5 or -1, not 0"),
        ({"buffer_size": 5}, "seed_size 64 is more than buffer_size 5"),
        ({"kinds": "induction", "digits": 1, "inputs": 11}, "no 11 numbers of 1 digits"),
        ({"seeds": "uniform", "seed_tasks": "x.jsonl"}, "exclude each other"),
        ({"sandbox": "bwrap"}, "sandbox is the run's: give --sandbox"),
        ({"refrences": 3}, "did you mean references"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_a_line(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_environment(RunConfig(environment="azr", environment_settings=settings), 16)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_longer_prompt_leaves_references_out() -> None:
    made = game(kinds="deduction", references=5, prompt_characters=125)
    _, (propose, *_) = play(made)
    assert max(len(str(ask.prompt)) for ask in propose) <= 125
    assert made.metrics()["azr/references_left_out"] > 0


def test_bounds_hold_of_a_step() -> None:
    for settings in ({}, {"train_estimates": True}, {"order": "code"}, {"train_roles": "solve"}):
        made = game(kinds=ALL, **settings)
        bounds = AZR(**(SMALL | {"kinds": ALL} | settings)).bounds()
        pools, waves = play(made)
        sizes = [sum(ask.n for ask in wave) for wave in waves]
        assert (sum(sizes), max(sizes)) == (bounds.completions, bounds.at_once)
        assert sum(len(pool.completions) for pool in pools) == bounds.trained
        assert set(bounds.prompts) == {f"{r}/{k}" for r in ("propose", "solve") for k in KINDS}


def test_a_step_is_a_function_of_the_seed_the_step_and_the_state() -> None:
    first, second = game(kinds=ALL), game(kinds=ALL)
    for step in range(2):
        play(first, step=step)
    play(second)
    other = AZR(**(SMALL | {"kinds": ALL}))
    other.load(json.loads(json.dumps(second.state())))
    _, waves = play(other, step=1)
    assert other.state() == first.state()
    assert other.records() == first.records()
    assert proposed(waves[0][0])
