"""Waves and pools: what drives an environment, and what it refuses."""

from __future__ import annotations

import pytest

from rlsc.environments.base import Environment, Play, drive
from rlsc.environments.dataset import DatasetEnvironment
from rlsc.errors import ConfigError
from rlsc.types import Ask, Completion, CompletionGroup, Example, Pool, Prompt

LONG = "too long"


def answer(wave: list[Ask]) -> list[CompletionGroup | None]:
    """Completions that say which ask they are of; None for a prompt that is too long."""
    return [
        None
        if ask.prompt == LONG
        else CompletionGroup(
            Prompt(ask.id, str(ask.prompt), (1,)),
            [Completion(f"{ask.id}#{k}", (2, k), (-1.0, -1.0), "stop") for k in range(ask.n)],
        )
        for ask in wave
    ]


def other(group: CompletionGroup, **changes: object) -> CompletionGroup:
    fields = {"prompt": group.prompt, "completions": group.completions} | changes
    return CompletionGroup(**fields)  # type: ignore[arg-type]


def test_a_data_set_is_one_wave_and_a_pool_for_each_question_that_fits() -> None:
    rows = [Example("a", "1 + 1"), Example("b", LONG), Example("c", "2 + 2")]
    waves: list[list[Ask]] = []

    def seen(wave: list[Ask]) -> list[CompletionGroup | None]:
        waves.append(list(wave))
        return answer(wave)

    pools = drive(DatasetEnvironment(3).play(0, 0, rows), seen)
    assert [[(ask.id, ask.n, ask.example) for ask in wave] for wave in waves] == [
        [("a", 3, rows[0]), ("b", 3, rows[1]), ("c", 3, rows[2])]
    ]
    assert [(pool.name, len(pool.completions), pool.rewards) for pool in pools] == [
        ("a", 3, None),
        ("c", 3, None),
    ]
    assert drive(DatasetEnvironment(3).play(0, 0, []), seen) == []


def test_a_later_wave_depends_on_an_earlier_one() -> None:
    class Game(Environment):
        def play(self, step, seed, rows) -> Play:
            (proposal,) = yield [Ask("propose", "make a task")]
            task = proposal.completions[0].text
            (solved,) = yield [Ask("solve", task, n=2)]
            assert solved.prompt.text == "propose#0"
            return [Pool("propose", [proposal], [[0.5]]), Pool("solve", [solved], [[1.0, 0.0]])]

    pools = drive(Game().play(0, 0, []), answer)
    assert [pool.name for pool in pools] == ["propose", "solve"]
    assert Game().metrics() == {}


def played(asks: list[Ask], pools) -> list[Pool]:
    """The pools of a game of one wave; `pools` makes them of its groups."""

    class Wrong(Environment):
        def play(self, step, seed, rows) -> Play:
            groups = yield asks
            return pools(groups)

    return drive(Wrong().play(0, 0, []), answer)


TWO = [Ask("a", "x", n=2), Ask("b", "y", n=2)]
REFUSED = {
    "must return a list of Pool, not None": lambda groups: None,
    "must return a list of Pool, not [CompletionGroup": lambda groups: groups,
    "returns pool 'p' twice": lambda groups: [Pool("p", [group]) for group in groups],
    "returns the completions of 'a' twice": lambda groups: [
        Pool("p", groups[:1]),
        Pool("q", groups[:1]),
    ],
    "rewards to some pools and none": lambda groups: [
        Pool("p", groups[:1], [[0, 1]]),
        Pool("q", groups[1:]),
    ],
    "pool 'p' is empty": lambda groups: [Pool("p", [])],
    "pool 'p' has completions of 'z', not asked for": lambda groups: [
        Pool("p", [other(groups[0], prompt=Prompt("z", "x", (1,)))])
    ],
    "pool 'p' has other completions of 'a' than were sampled": lambda groups: [
        Pool("p", [other(groups[0], completions=groups[0].completions[:1])])
    ],
    "needs a reward for each completion: [2, 2]": lambda groups: [Pool("p", groups, [[0, 1], [1]])],
    "a reward that is not finite: nan": lambda groups: [
        Pool("p", groups, [[0, 1], [1, float("nan")]])
    ],
}


@pytest.mark.parametrize("said", REFUSED)
def test_pools_that_cannot_be_trained_on_are_refused_in_one_line(said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        played(TWO, REFUSED[said])
    assert said in str(caught.value)
    assert "Wrong.play" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_completions_of_the_model_before_training_are_in_no_pool() -> None:
    asks = [Ask("a", "x"), Ask("b", "y", policy="base")]
    assert len(played(asks, lambda groups: [Pool("p", groups[:1])])) == 1
    with pytest.raises(ConfigError, match="completions of the model before training: 'b'"):
        played(asks, lambda groups: [Pool("p", groups)])


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ([Ask("a", "x"), Ask("a", "y")], "asks 'a' twice in a step"),
        ([Ask("a", "x", n=0)], "asks 'a' for 0 completions"),
        (["x"], "must yield a list of Ask, not ['x']"),
    ],
)
def test_waves_that_cannot_be_asked_are_refused(asks: list, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        played(asks, lambda groups: [])
    assert said in str(caught.value)


def test_an_id_is_not_asked_again_in_a_later_wave() -> None:
    class Twice(Environment):
        def play(self, step, seed, rows) -> Play:
            yield [Ask("a", "x")]
            yield [Ask("a", "y")]
            return []

    with pytest.raises(ConfigError, match="asks 'a' twice in a step"):
        drive(Twice().play(0, 0, []), answer)


def test_a_play_is_closed_where_sampling_fails() -> None:
    closed = []

    class Game(Environment):
        def play(self, step, seed, rows) -> Play:
            try:
                yield [Ask("a", "x")]
            finally:
                closed.append(True)
            return []

    def fails(wave: list[Ask]) -> list[CompletionGroup | None]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(Game().play(0, 0, []), fails)
    assert closed == [True]
