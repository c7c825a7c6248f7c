"""What gives a step its completions: a data set of questions, or a game that makes its own.

An environment plays a step in waves. It yields the prompts of a wave, is given their completions,
may yield another wave that depends on them, and returns pools: the completions to train on, those
together whose rewards are compared with each other. So its `play` reads from top to bottom as the
game goes, and a test drives it with scripted texts and no model:

>>> from rlsc.types import Completion, Prompt
>>> class Echo(Environment):
...     def play(self, step, seed, rows):
...         groups = yield [Ask("greeting", "Hello", n=2)]
...         return [Pool("greetings", groups, [[0.0, 1.0]])]
>>> said = [Completion(text, (7,), (-0.1,), "stop") for text in ("Hi", "Hello")]
>>> answer = lambda asks: [CompletionGroup(Prompt("greeting", "Hello", (3,)), said)]
>>> [pool.name for pool in drive(Echo().play(0, 0, []), answer)]
['greetings']

Left out: one row for a whole conversation with its tools' tokens masked. Each turn is an ask of its
own, so that nothing is tokenised anew behind the policy's back.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar

from rlsc.errors import ConfigError
from rlsc.types import Ask, CompletionGroup, Example, Pool

Groups = list[CompletionGroup | None]
"""The completions of a wave, in the order of its asks; None where a prompt does not fit."""
Play = Generator[Sequence[Ask], Groups, Sequence[Pool]]
Answer = Callable[[Sequence[Ask]], Groups]
Asked = dict[str, tuple[Ask, CompletionGroup | None]]
"""What was asked in a step and what came of it, by the ask's id."""


class Environment(ABC):
    """Makes the pools of each step. A user's own is a subclass with `play`."""

    asks_base: ClassVar[bool] = False
    """Whether an ask may be of the policy ``base``, the model before training."""
    gives_rewards: ClassVar[bool | None] = None
    """Whether its pools have rewards; None: not known before they are there."""

    @abstractmethod
    def play(self, step: int, seed: int, rows: Sequence[Example]) -> Play:
        """One step: yields waves of asks, receives their completions, returns pools.

        `rows` are the step's rows of the data set, of this process, in the loader's order; a game
        may ignore them. What is drawn is drawn from `seed`. Of several processes all must yield
        as many waves, empty ones where need be. A prompt that does not fit the model's context
        gives None.
        """

    def metrics(self) -> dict[str, float]:
        """Of the last play, to be logged with its step."""
        return {}


def drive(play: Play, answer: Answer) -> list[Pool]:
    """The pools of a play whose waves `answer` completes.

    Raises `ConfigError` in one line for asks and pools that cannot be trained on.
    """
    name = getattr(play, "__qualname__", type(play).__name__)
    asked: Asked = {}
    try:
        wave, pools = _resume(play, None)
        while wave is not None:
            _check_wave(name, wave, asked)
            groups = answer(wave)
            asked |= {ask.id: (ask, group) for ask, group in zip(wave, groups, strict=True)}
            wave, pools = _resume(play, groups)
    finally:
        play.close()
    return _checked(name, pools, asked)


def _resume(play: Play, groups: Any) -> tuple[Sequence[Ask] | None, Any]:
    """The next wave, or what the play returned."""
    try:
        return play.send(groups), None
    except StopIteration as end:
        return None, end.value


def _check_wave(name: str, wave: object, asked: Asked) -> None:
    if not isinstance(wave, Sequence) or not all(isinstance(ask, Ask) for ask in wave):
        raise ConfigError(f"{name} must yield a list of Ask, not {wave!r:.60}")
    ids = [ask.id for ask in wave]
    twice = next((ask for ask in ids if ids.count(ask) > 1 or ask in asked), None)
    if twice is not None:
        raise ConfigError(f"{name} asks {twice!r} twice in a step")
    few = next((ask for ask in wave if ask.n < 1), None)
    if few is not None:
        raise ConfigError(f"{name} asks {few.id!r} for {few.n} completions")


def _checked(name: str, pools: Any, asked: Asked) -> list[Pool]:
    if not isinstance(pools, Sequence) or not all(isinstance(pool, Pool) for pool in pools):
        raise ConfigError(f"{name} must return a list of Pool, not {pools!r:.60}")
    names = [pool.name for pool in pools]
    ids = [group.prompt.id for pool in pools for group in pool.groups]
    for what, values in (("pool", names), ("the completions of", ids)):
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise ConfigError(f"{name} returns {what} {twice!r} twice")
    if len({pool.rewards is None for pool in pools}) > 1:
        raise ConfigError(f"{name} gives rewards to some pools and none to others")
    for pool in pools:
        _check_pool(f"{name}: pool {pool.name!r}", pool, asked)
    return list(pools)


def _check_pool(where: str, pool: Pool, asked: Asked) -> None:
    if not pool.groups:
        raise ConfigError(f"{where} is empty")
    for group in pool.groups:
        ask, given = asked.get(group.prompt.id, (None, None))
        if ask is None:
            raise ConfigError(f"{where} has completions of {group.prompt.id!r}, not asked for")
        if ask.policy == "base":
            raise ConfigError(f"{where} has completions of the model before training: {ask.id!r}")
        if group != given:
            raise ConfigError(f"{where} has other completions of {ask.id!r} than were sampled")
    if pool.rewards is None:
        return
    counts = [len(group.completions) for group in pool.groups]
    if [len(rewards) for rewards in pool.rewards] != counts:
        raise ConfigError(f"{where} needs a reward for each completion: {counts} of its groups")
    wrong = next((r for rewards in pool.rewards for r in rewards if not math.isfinite(r)), None)
    if wrong is not None:
        raise ConfigError(f"{where} has a reward that is not finite: {wrong}")
