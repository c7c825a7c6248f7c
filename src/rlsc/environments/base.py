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
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Generic, NotRequired, TypedDict, TypeVar, cast

from rlsc.errors import ConfigError
from rlsc.types import Ask, CompletionGroup, Example, Message, Pool

Groups = list[CompletionGroup | None]
"""The completions of a wave, in the order of its asks; None where a prompt does not fit."""
Play = Generator[Sequence[Ask], Groups, Sequence[Pool]]
Beginning = Generator[Sequence[Ask], Groups, None]
Examination = Generator[Sequence[Ask], Groups, Mapping[str, float]]
Answer = Callable[[Sequence[Ask]], Groups]
Judge = Callable[[Sequence[tuple[str, str]]], Sequence[bool | None]]
"""From ids of the data set's questions with answers to whether each is right; None: not known."""
State = TypeVar("State", bound=Mapping[str, object])
"""What an environment keeps in checkpoints."""
Asked = dict[str, tuple[Ask, CompletionGroup | None]]
"""What was asked in a step and what came of it, by the ask's id."""


@dataclass(frozen=True)
class Bounds:
    """What a step of a game takes at most: `rlsc plan`, --dry_run and the bar reckon with it."""

    completions: int
    """Of all waves."""
    at_once: int
    """Of the largest wave."""
    trained: int
    """Those in pools."""
    prompts: Mapping[str, str | Sequence[Message]]
    """One of each role and kind, by its name, about as long as they come."""


class Demonstration(TypedDict):
    """A row of a supervised start; `stop` where another text than the stop token ends it."""

    prompt: str | Sequence[Message]
    completion: str
    stop: NotRequired[str]
    adapter: NotRequired[str]
    """Whose it is, where roles have adapters."""


class Environment(ABC, Generic[State]):
    """Makes the pools of each step. A user's own is a subclass with `play`.

    All but `play` may be left out. An instance is made several times before a run begins: what
    costs, such as worker processes, is to be started by `begin` or `play` and ended by `close`.
    """

    needs_rows: ClassVar[bool] = True
    """Whether its plays are of a data set's rows; False: a game that makes all of its prompts, and
    is trained in without questions."""
    asks_base: ClassVar[bool] = False
    """Whether an ask may be of the policy ``base``, the model before training."""
    adapters: ClassVar[Sequence[str]] = ()
    """Names of LoRA adapters on one base that play it, each trained on its own completions alone:
    every ask of the policy names one. The first is the one that is evaluated and merged."""
    gives_rewards: ClassVar[bool | None] = None
    """Whether its pools have rewards; None: not known before they are there."""
    needs_labels: ClassVar[bool] = False
    """Whether it has answers judged by the data set's reference answers, through `take_judge`."""

    @property
    def is_game(self) -> bool:
        """Whether it makes prompts of its own, so that two steps' completions do not compare."""
        return not self.needs_rows

    @abstractmethod
    def play(self, step: int, seed: int, rows: Sequence[Example]) -> Play:
        """One step: yields waves of asks, receives their completions, returns pools.

        `rows` are the step's rows of the data set, of this process, in the loader's order; a game
        may ignore them. What is drawn is drawn from `seed`. Of several processes all must yield
        as many waves, empty ones where need be. A prompt that does not fit the model's context
        gives None.
        """

    def check(self) -> Mapping[str, str]:
        """Try what it needs of this machine, before a model is loaded; facts for --dry_run.

        Raises `ConfigError` for what is not there. Called on an instance that has not begun.
        """
        return {}

    def take_judge(self, judge: Judge) -> None:
        """Before the first play, where it `needs_labels`: what judges by the reference answers."""

    def begin(self, seed: int) -> Beginning | None:
        """Before the first play of a run that is not gone on with: waves as `play`'s, no pools."""
        return None

    def examine(self, seed: int) -> Examination | None:
        """Greedy waves on held-out tasks of its own: yields as `play`, returns figures by name.

        Called before training, every `eval_steps`, and after the last step.
        """
        return None

    def demonstrations(self) -> Sequence[Demonstration]:
        """Rows of a supervised start (`--sft_rows environment`): prompts of its own, right answers.

        They are right by what the game itself knows, and none is of a held-out task.
        """
        return []

    def metrics(self) -> dict[str, float]:
        """Of the last play, to be logged with its step."""
        return {}

    def records(self) -> Sequence[Mapping[str, object]]:
        """Of the last play, or of `begin`: rows of tasks.jsonl, JSON values only."""
        return []

    def state(self) -> State:
        """What outlives a step, as JSON values with text as keys: it is kept in checkpoints."""
        return cast(State, {})

    def load(self, state: State) -> None:
        """Take up what `state` gave. Raises `ConfigError` for what cannot be gone on with here."""

    def bounds(self) -> Bounds | None:
        """What a step takes at most; None: not known. Called on an instance that has not begun."""
        return None

    def fingerprints(self) -> dict[str, str]:
        """Hashes of what it reads beside its settings, by name: a run that goes on has the same."""
        return {}

    def close(self) -> None:
        """End what it has started, such as processes."""


def drive(play: Play, answer: Answer) -> list[Pool]:
    """The pools of a play whose waves `answer` completes.

    Raises `ConfigError` in one line for asks and pools that cannot be trained on.
    """
    name, pools, asked = _driven(play, answer)
    return _checked(name, pools, asked)


def drive_beginning(beginning: Beginning | None, answer: Answer) -> None:
    """The same for `begin`, which gives no pools; nothing for None."""
    if beginning is not None:
        _driven(beginning, answer)


def drive_examination(examination: Examination | None, answer: Answer) -> dict[str, float]:
    """The same for `examine`: its figures. Raises `ConfigError` for what is no number."""
    if examination is None:
        return {}
    name, figures, _ = _driven(examination, answer)
    if not isinstance(figures, Mapping):
        raise ConfigError(f"{name} must return numbers by name, not {figures!r:.60}")
    wrong = [
        key
        for key, value in figures.items()
        if not isinstance(value, Real) or not math.isfinite(value)
    ]
    if wrong:
        raise ConfigError(f"{name}: {wrong[0]} is {figures[wrong[0]]!r:.60}, no finite number")
    return {str(key): float(value) for key, value in figures.items()}


def _driven(play: Generator[Any, Any, Any], answer: Answer) -> tuple[str, Any, Asked]:
    """Its name, what it returned, and what was asked on the way."""
    name = getattr(play, "__qualname__", type(play).__name__)
    if not isinstance(play, Generator):
        raise ConfigError(f"an environment's waves are yielded by a generator, not {play!r:.60}")
    asked: Asked = {}
    try:
        wave, returned = _resume(play, None)
        while wave is not None:
            _check_wave(name, wave, asked)
            groups = answer(wave)
            asked |= {ask.id: (ask, group) for ask, group in zip(wave, groups, strict=True)}
            wave, returned = _resume(play, groups)
    finally:
        play.close()
    return name, returned, asked


def _resume(play: Generator[Any, Any, Any], groups: Any) -> tuple[Sequence[Ask] | None, Any]:
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
    both = next((ask for ask in wave if ask.scored and (ask.n > 1 or ask.policy == "base")), None)
    if both is not None:
        raise ConfigError(f"{name} asks {both.id!r} for texts of its own: of the policy, and n = 1")
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
        if ask.scored:
            raise ConfigError(f"{where} has texts that were not sampled: those of {ask.id!r}")
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
