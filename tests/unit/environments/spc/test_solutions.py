"""The game on a model's own solutions, with scripted texts: what is drawn, validated, paid."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest

from rlsc.data import render
from rlsc.environments import TextSteps, drive
from rlsc.environments.spc.environment import SPC
from rlsc.environments.spc.prompts import critic_prompt
from rlsc.environments.spc.solutions import number_of_steps, places_of, went_on
from rlsc.environments.spc.validity import acceptance
from rlsc.errors import ConfigError
from rlsc.types import Ask, Completion, CompletionGroup, Example, Pool
from tests.ascii_model import ascii_tokenizer
from tests.unit.environments.spc.players import Says, answer

ROWS = [Example(f"q{n}", f"What is 2 + 3 + {n}?") for n in range(4)]
SOLVED = "2 + 3 = 5.\n\n5 + 4 = 9."


def said(text: str, reason: Any = "stop") -> Completion:
    return Completion(text, (1,), (0.0,), reason)


# Steps of texts.


@pytest.mark.parametrize("steps", ["line", "paragraph"])
def test_steps_are_cut_where_they_stand(steps: str) -> None:
    text = "\n\n First: 2 + 3 = 5.\nSo 5.\n\n\n Then\n5 + 4 = 9. "
    places = places_of("q", "P", said(text), steps)
    shown = {
        "line": ["First: 2 + 3 = 5.", "So 5.", "Then", "5 + 4 = 9."],
        "paragraph": ["First: 2 + 3 = 5.\nSo 5.", "Then\n5 + 4 = 9."],
    }[steps]
    assert [place.step for place in places] == shown
    for n, place in enumerate(places):
        assert text.startswith(place.with_step(place.step))  # not a character is written anew
        assert place.done == shown[:n]
    cut = places_of("q", "P", said(text, "length"), steps)
    assert cut == places[:-1]  # the last is not whole


@pytest.mark.parametrize(
    "text", ["", " \n", "<end>", "<|im_end|>", "</s>", "So 5. Verdict: Correct", "next step: 5"]
)
def test_what_is_no_step(text: str) -> None:
    assert places_of("q", "P", said(text), "line") == []
    behind = said(f"{text}\n\n3 < 5 and 6 > 5.")  # its prompts would hold what stands before
    assert len(places_of("q", "P", behind, "line")) == (0 if text.strip() else 1)
    assert number_of_steps(behind, "line") == (2 if text.strip() else 1)
    places = places_of("q", "P", said(f"3 < 5.\n{text.strip() or '<end>'}\n6 > 5."), "line")
    assert [place.step for place in places] == ["3 < 5."]


def test_an_answer_is_gone_on_with() -> None:
    assert went_on("2 + 3?", " 5.\n") == "2 + 3? 5.\n"
    user = {"role": "user", "content": "2 + 3?"}
    assert went_on([user], "5.") == [user, {"role": "assistant", "content": "5."}]
    begun = {"role": "assistant", "content": "Well, "}
    assert went_on([user, begun], "5.") == [user, {"role": "assistant", "content": "Well, 5."}]


def test_a_critic_decodes_by_the_prompt_that_it_is_trained_by() -> None:
    place = places_of("q", "2 + 3\n+ 4?", said(SOLVED), "paragraph")[1]
    trained = critic_prompt(place, "5 + 4 = 8.")
    assert trained == TextSteps("\n\n").prompt("2 + 3\n+ 4?", ["2 + 3 = 5."], "5 + 4 = 8.")


# The game.


def world(ask: Ask, sample: int) -> str | None:
    """Solvers who go on from what is there, a generator that is off by one, knowing critics."""
    kind, text = ask.id.partition("/")[0], str(ask.prompt)
    if kind == "solve":
        return SOLVED
    if kind in ("confirm", "validate"):
        return " So 8." if "= 6" in text or "= 8" in text else " So 9."
    step = text.rpartition("step: ")[2].splitlines()[0]
    if kind == "sneaky":
        return step.replace("= 5", "= 6").replace("= 9", "= 8")
    return " Incorrect" if "= 6" in step or "= 8" in step else " Correct"


def judge(answers: Sequence[tuple[str, str]]) -> list[bool | None]:
    return [None if text.endswith("?") else text.endswith("So 9.") for _, text in answers]


def play(
    game: SPC, says: Says = world, rows: Sequence[Example] = ROWS
) -> tuple[dict[str, Pool], list[list[Ask]]]:
    waves: list[list[Ask]] = []

    def seen(wave: Sequence[Ask]) -> list[CompletionGroup | None]:
        waves.append(list(wave))
        return answer(says)(wave)

    game.take_judge(judge)
    pools = drive(game.play(0, 100, rows), seen)
    return {pool.name: pool for pool in pools}, waves


def game(**changes: Any) -> SPC:
    return SPC(**({"source": "solutions", "games": 6, "samples": 2} | changes))


def rewards(pool: Pool) -> list[float]:
    return [reward for of_group in pool.rewards or () for reward in of_group]


def test_a_step_has_five_waves() -> None:
    played = game()
    pools, waves = play(played)
    kinds = [{ask.id.partition("/")[0] for ask in wave} for wave in waves]
    assert kinds == [{"solve"}, {"confirm"}, {"sneaky"}, {"validate"}, {"critic"}]
    assert [len(wave) for wave in waves] == [4, 6, 6, 6, 12]
    assert {ask.n for ask in waves[1] + waves[3]} == {2}
    assert rewards(pools["sneaky"]) == [-1.0] * 6
    assert rewards(pools["critic"]) == [1.0] * 24
    metrics, records = played.metrics(), played.records()
    assert (metrics["spc/solution_steps"], metrics["spc/unshown_steps"]) == (8, 0)
    assert metrics["spc/confirmed_share"] == metrics["spc/valid_share"] == 1
    assert metrics["spc/unproven_share"] == 0
    assert metrics["spc/critic_wrong"] == metrics["spc/critic_correct"] == 1
    assert json.loads(json.dumps(records)) == records
    assert {tuple(row.get("successes", ())) for row in records} == {(2, 0), ()}
    assert {row["fault"] for row in records} == {"by_samples", ""}
    assert played.needs_rows
    assert played.needs_labels
    assert played.bounds() is None
    assert played.examine(0) is None


def test_only_confirmed_steps_are_rewritten_and_judged() -> None:
    """From q0 no solver comes to the answer, whatever the step."""

    def lost(ask: Ask, sample: int) -> str | None:
        if ask.id.startswith("confirm") and "+ 0?" in str(ask.prompt):
            return " So 8."
        return world(ask, sample)

    played = game(games=8)
    _, (_, confirm, sneaky, _, critic) = play(played, lost)
    assert len(confirm) == 8
    assert len(sneaky) == 6
    own = [str(ask.prompt).rpartition("Problem: ")[2] for ask in sneaky + critic]
    assert not any("+ 0?" in text for text in own)
    assert played.metrics()["spc/confirmed_share"] == 0.75


def test_steps_that_cannot_be_shown_are_counted() -> None:
    """Of four answers of two steps one begins with a control token, and one is cut off."""

    def odd(ask: Ask, sample: int) -> str | None:
        return {"solve/q0": f"<|im_end|> {SOLVED}", "solve/q1": None}.get(
            ask.id, world(ask, sample)
        )

    played = game()
    _, waves = play(played, odd)
    assert len(waves[1]) == 4
    assert not any("<|im_end|>" in str(ask.prompt) for wave in waves for ask in wave)
    metrics = played.metrics()
    assert (metrics["spc/solution_steps"], metrics["spc/unshown_steps"]) == (7, 3)


def test_what_is_not_proven_wrong_is_not_judged() -> None:
    """Repaired, unchanged, unreadable, cut off: −1 for the generator, nothing for the critic."""

    def mixed(ask: Ask, sample: int) -> str | None:
        kind, _, n = ask.id.partition("/")
        if kind == "validate" and n == "0":
            return " So 9." if sample else " So 8."  # one of two repairs it
        if kind == "sneaky" and int(n) in (1, 2, 3):
            step = str(ask.prompt).rpartition("step: ")[2].splitlines()[0]
            return [step.upper().rstrip(".") + " ", "x Verdict: Correct", None][int(n) - 1]
        return world(ask, sample)

    played = game()
    pools, waves = play(played, mixed)
    assert [len(wave) for wave in waves] == [4, 6, 6, 3, 4]
    assert rewards(pools["sneaky"]) == [-1.0] * 6
    metrics = played.metrics()
    for reason in ("unproven", "unchanged", "unreadable", "truncated"):
        assert metrics[f"spc/refused_{reason}"] == pytest.approx(1 / 6)
    assert metrics["spc/valid_share"] == pytest.approx(2 / 6)
    assert metrics["spc/unproven_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("said", "reason"),
    [(" So 8.", ""), (None, "unproven"), ("?", "unproven"), (" So 9.", "unproven")],
)
def test_an_undecided_completion_proves_no_error(said: str | None, reason: str) -> None:
    """One of two: wrong, cut off, without an answer, right. Proven if all are wrong."""

    def rambling(ask: Ask, sample: int) -> str | None:
        return said if ask.id == "validate/0" and sample else world(ask, sample)

    played = game()
    pools, waves = play(played, rambling)
    metrics = played.metrics()
    assert metrics.get("spc/refused_unproven", 0) == (1 / 6 if reason else 0)
    assert metrics["spc/validation_cut_off"] == (1 / 12 if said is None else 0)
    assert len(waves[-1]) == (10 if reason else 12)  # no critic is trained to reject it
    (row,) = [row for row in played.records() if row["reason"]] or [{}]
    undecided = 1 if said in (None, "?") else None
    assert (row.get("reason", ""), row.get("undecided")) == (reason, undecided)
    assert rewards(pools["sneaky"]) == [-1.0] * 6


def test_a_cut_off_completion_confirms_no_step() -> None:
    def rambling(ask: Ask, sample: int) -> str | None:
        return None if ask.id == "confirm/0" and sample else world(ask, sample)

    played = game()
    play(played, rambling)
    assert played.metrics()["spc/confirmed_share"] == pytest.approx(5 / 6)


def test_a_deceived_critic_pays_the_generator() -> None:
    def trusting(ask: Ask, sample: int) -> str | None:
        return " Correct" if ask.id.startswith("critic") else world(ask, sample)

    pools, _ = play(game(), trusting)
    assert rewards(pools["sneaky"]) == [1.0] * 6
    assert sum(rewards(pools["critic"])) == 0  # λ = ½


@pytest.mark.parametrize("reward", ["spc", "random"])
@pytest.mark.parametrize("roles", ["both", "sneaky", "critic"])
@pytest.mark.parametrize("solution", ["It is 7.\n\nSo 7.", "<end>"])
def test_a_step_without_games_teaches_nothing(roles: str, solution: str, reward: str) -> None:
    """No step is confirmed, or no solution has one: there are rows, and no reward."""

    def lost(ask: Ask, sample: int) -> str | None:
        if ask.id.startswith("solve"):
            return solution
        return "no" if ask.id.startswith("confirm") else world(ask, sample)

    played = game(train_roles=roles, reward=reward)
    alone, _ = play(played, lost, ROWS[:1])
    pools, _ = play(played, lost)
    assert pools
    assert alone
    for pool in (*pools.values(), *alone.values()):
        assert set(rewards(pool)) == {0.0}
        assert len(pool.completions) > 1
    assert played.metrics()["spc/confirmed_share"] == 0
    assert played.metrics()["spc/left_out"] >= 2


def test_who_solves() -> None:
    assert not game().asks_base
    frozen = game(solver="base")
    assert frozen.asks_base
    _, waves = play(frozen)
    assert [{ask.policy for ask in wave} for wave in waves] == [
        *({"base"}, {"base"}, {"current"}, {"base"}, {"current"})
    ]


def test_two_adapters_play_what_the_base_solves() -> None:
    """Every ask of the policy names its adapter; those of the base have none."""
    _, waves = play(game(roles="adapters", solver="base"))
    asked = {(ask.id.partition("/")[0], ask.policy, ask.adapter) for wave in waves for ask in wave}
    assert asked == {
        *((kind, "base", "") for kind in ("solve", "confirm", "validate")),
        *((role, "current", role) for role in ("sneaky", "critic")),
    }


@pytest.mark.parametrize(("p_before", "p_after"), [(0.9, 0.2), (0.5, 0.5)])
def test_validation_is_the_papers_rule(p_before: float, p_after: float) -> None:
    """Over all outcomes of N = 2 completions each: accepted with the formula's probability."""
    total = 0.0
    for hits in product((0, 1), repeat=4):

        def chance(ask: Ask, sample: int, hits: Sequence[int] = hits) -> str | None:
            kind = ask.id.partition("/")[0]
            if kind in ("confirm", "validate"):
                hit = hits[sample + 2 * (kind == "validate")]
                return " So 9." if hit else " So 8."
            return world(ask, sample)

        played = game(games=2)
        play(played, chance, ROWS[:1])
        weight = math.prod(
            p if hit else 1 - p
            for p, hit in zip((p_before, p_before, p_after, p_after), hits, strict=True)
        )
        found = played.metrics()
        total += weight * (found["spc/valid_share"] if found["spc/confirmed_share"] else 0.0)
    assert total == pytest.approx(acceptance(2, p_before, p_after), abs=1e-12)


def test_what_is_kept_goes_through_json() -> None:
    played = game(replay=3, replay_share=0.5)
    play(played)
    state = json.loads(json.dumps(played.state()))
    again = game(replay=3, replay_share=0.5)
    again.load(state)
    assert again.state() == state
    assert len(state["kept"]) == 3
    _, waves = play(again)
    assert len(waves[-1]) == 2 * (6 + 3)
    with pytest.raises(ConfigError, match="played on source=solutions, not derivations"):
        SPC().load(state)
    sums = SPC().state()
    del sums["source"]  # of a run that knew no other
    SPC().load(sums)
    with pytest.raises(ConfigError, match="played on source=derivations, not solutions"):
        game().load(sums)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opponent": "random", "train_roles": "critic"}, "opponent=random corrupts sums"),
        ({"untouched_share": 0.8}, "untouched_share above 0.5 takes more right steps"),
        ({"samples": 0}, "samples must be 1 or more"),
        ({"text_steps": "word"}, "text_steps must be one of paragraph, line"),
        ({"source": "derivations", "solver": "base"}, "solver=base is of source=solutions"),
        ({"source": "derivations"}, "samples=2 is of source=solutions and does nothing with"),
        ({"source": "derivations", "samples": 4, "text_steps": "line"}, "text_steps=line is of"),
        ({"terms": 4}, "terms=4 is of source=derivations and does nothing with source=solutions"),
        ({"digits": 3}, "digits=3 is of source=derivations"),
        ({"held_out": 0}, "held_out=0 is of source=derivations"),
        ({"exploit_places": 0}, "exploit_places=0 is of source=derivations"),
        ({"sft_places": 9}, "sft_places=9 is of source=derivations"),
        ({"roles": "adapters"}, "with source=solutions add solver=base"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        game(**settings)


def test_without_a_judge_it_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="give RLSCTrainer an answer_key"):
        drive(game().play(0, 1, ROWS), answer(world))


def test_prompts_that_do_not_fit_are_counted() -> None:
    def narrow(wave: Sequence[Ask]) -> list[CompletionGroup | None]:
        groups = answer(world)(wave)
        kind = wave[0].id.partition("/")[0]
        return [
            None if kind in ("solve", "confirm", "validate") and n == 0 else group
            for n, group in enumerate(groups)
        ]

    played = game()
    played.take_judge(judge)
    pools = {pool.name: pool for pool in drive(played.play(0, 100, ROWS), narrow)}
    metrics = played.metrics()
    assert metrics["spc/prompts_too_long"] == 3
    assert metrics["spc/refused_too_long"] == 1 / 5
    assert rewards(pools["sneaky"]) == [
        0.0,
        -1.0,
        -1.0,
        -1.0,
        -1.0,
    ]  # of the first nothing is known
    assert len(pools["critic"].completions) == 16


@pytest.mark.parametrize("place", [1, 7])
def test_a_pair_of_which_one_prompt_does_not_fit_is_left_out(place: int) -> None:
    """The wrong step (1 of 0…5) or its right partner (7 of 6…11): a constant verdict is unpaid."""

    def narrow(wave: Sequence[Ask]) -> list[CompletionGroup | None]:
        groups = answer(lambda ask, n: " Correct" if "critic" in ask.id else world(ask, n))(wave)
        return [
            None if ask.id == f"critic/{place}" else group
            for ask, group in zip(wave, groups, strict=True)
        ]

    played = game(replay=9)
    played.take_judge(judge)
    pools = {pool.name: pool for pool in drive(played.play(0, 100, ROWS), narrow)}
    assert len(pools["critic"].completions) == 2 * 5 * 2
    assert sum(rewards(pools["critic"])) == 0
    assert rewards(pools["sneaky"]) == [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    metrics, records = played.metrics(), played.records()
    assert metrics["spc/left_out"] == 2  # the verdicts on the one that fits
    assert metrics["spc/refused_unjudged"] == 1 / 6
    assert [row["reward"] for row in records if row["reason"] == "unjudged"] == [0.0]
    assert sum(row["kind"] == "rewritten" for row in records) == 6
    assert len(played.state()["kept"]) == 5


@pytest.mark.parametrize("roles", ["sneaky", "critic", "both"])
def test_where_no_prompt_of_a_role_fits_a_question_stands_for_the_step(roles: str) -> None:
    def narrow(wave: Sequence[Ask]) -> list[CompletionGroup | None]:
        groups: list[CompletionGroup | None] = list(answer(world)(wave))
        long = [len(str(ask.prompt)) > 100 for ask in wave]  # worked examples of either role
        return [None if n else group for n, group in zip(long, groups, strict=True)]

    played = game(train_roles=roles)
    played.take_judge(judge)
    (pool,) = drive(played.play(0, 100, ROWS), narrow)
    assert pool.name == ("sneaky" if roles == "both" else roles)
    assert rewards(pool) == [0.0, 0.0]
    assert played.metrics()["spc/left_out"] == 2
    assert played.metrics()["spc/prompts_too_long"] > 0


@pytest.mark.parametrize("text", ["5.\n\n", " Well, 5.\nSo 9", "5"])
def test_an_answer_that_is_gone_on_with_has_the_sampled_tokens(text: str) -> None:
    """Chat or not: the prompt's own tokens, then those of the text, its last line break too."""
    tokenizer = ascii_tokenizer()
    user = [{"role": "user", "content": "2 + 3?"}]
    for prompt in (user, "2 + 3?"):
        alone = render(prompt, "q", tokenizer).token_ids
        own = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        assert render(went_on(prompt, text), "q", tokenizer).token_ids == alone + own
