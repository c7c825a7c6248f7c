"""The contract of an objective.

First `weigh` gives each completion of a pool a weight (an advantage, a confidence), from what is
known of all of them; then `loss` makes a micro-batch's loss of weights and log-probs.
Shapes: _K a pool's completions, _B rows of a micro-batch, _T completion tokens. Units: nats.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from rlsc.config import check_settings
from rlsc.errors import ConfigError
from rlsc.runtime import check_renamed
from rlsc.types import AnswerKey, Message

Value = TypeVar("Value")

WEIGHTS_NEEDS = (
    *("scores", "reference", "values", "answer_gaps"),
    *("answers", "answer_tokens", "votes", "labels", "reward_model", "environment"),
)
"""What `weights_need` may name; each costs time, and labels cost their being there."""
FORWARD_NEEDS = frozenset({"scores", "reference", "values", "answer_gaps"})
"""Those that take a forward pass over the step's completions before the update."""
LOSS_NEEDS = ("reference", "entropy_gradient")
"""What `loss_needs` may name."""


class Needing(Generic[Value]):
    """A field of `PoolView` that is there for objectives whose `weights_need` names its need."""

    def __init__(self, need: str) -> None:
        self.need = need

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, pool: PoolView | None, owner: type) -> Value:
        if pool is None:
            return self  # type: ignore[return-value]  # of the class: the field itself
        if self._name not in pool.known:
            if self.need in pool.needs:
                raise ConfigError(f"{pool.reader} needs {self.need!r}, which this run has not")
            raise ConfigError(
                f"{pool.reader} reads {self._name} of a pool, which is there only with "
                f"{self.need!r} in weights_need"
            )
        value: Value = pool.known[self._name]  # type: ignore[assignment]
        return value


@dataclass(frozen=True)
class PoolView:
    """A pool's K completions as `weigh` sees them: no gradient, and only what was asked for.

    Reading a field whose need is not in the objective's `weights_need` raises `ConfigError`.

    >>> pool = PoolView("q", "What is 3 + 8?", ("11",), torch.ones(1, 1), torch.zeros(1), 0)
    >>> len(pool), pool.zeros()
    (1, tensor([0.], dtype=torch.float64))
    """

    id: str
    """The question's, or the pool's name where it has several."""
    prompt: str | Sequence[Message]
    """As the data set has it: text or messages. Empty where the pool's prompts differ."""
    texts: tuple[str, ...]
    mask_KT: Tensor
    """True on a completion's tokens, its stop token included."""
    truncated_K: Tensor
    """True where the cap cut a completion off."""
    seed: int
    """Of this pool at this step, for objectives that draw."""
    known: Mapping[str, object] = field(default_factory=dict)
    """The fields below, by name."""
    reader: str = "an objective"
    """Who sees it, for errors."""
    needs: Collection[str] = ()
    """What that objective asked for."""

    logps_KT = Needing[Tensor]("scores")
    """log p_θ(y_t | x, y_<t), 0 outside the mask, as the next two."""
    entropies_KT = Needing[Tensor]("scores")
    """H(p_θ(· | x, y_<t))."""
    self_certainty_KT = Needing[Tensor]("scores")
    """KL(uniform ‖ p_θ(· | x, y_<t))."""
    values_KT = Needing[Tensor]("values")
    """The value head's V(x, y_<t)."""
    answer_gaps_KT = Needing[Tensor]("answer_gaps")
    """On the final answer's tokens the probability of the policy's likeliest token minus that of
    its second; 0 on others."""
    reference_logps_KT = Needing[Tensor]("reference")
    """The log-probs of the model before training."""
    answers = Needing[tuple[str | None, ...]]("answers")
    """The final answer of each text; None where none was found."""
    clusters = Needing[tuple[int | None, ...]]("answers")
    """Equal answers (1/2 and 0.5) have one number, from 0 by first appearance."""
    votes = Needing[tuple[int | None, ...]]("votes")
    """The clusters of other completions, those of the objective's `votes_of`; needs `answers`."""
    answer_mask_KT = Needing[Tensor]("answer_tokens")
    """True on the tokens of the final answer, where it stands in the text."""
    correct_K = Needing[Tensor]("labels")
    """1 where the answer is the reference answer, else 0."""
    reward_model_K = Needing[Tensor]("reward_model")
    """The reward model's score of each completion."""
    environment_K = Needing[Tensor]("environment")
    """The reward that the environment gave."""

    def __len__(self) -> int:
        return len(self.texts)

    def zeros(self) -> Tensor:
        """A zero for each completion, float64."""
        return torch.zeros(len(self.texts), dtype=torch.float64)

    def seen_by(self, objective: Objective) -> PoolView:
        """What this objective asked for, though others of a sum asked for more."""
        needs = set(objective.weights_need)
        known = {name: value for name, value in self.known.items() if NEED_OF[name] in needs}
        return replace(self, known=known, reader=type(objective).__name__, needs=needs)


NEED_OF = {name: item.need for name, item in vars(PoolView).items() if isinstance(item, Needing)}
"""Which need each field of `PoolView` is there for."""


@dataclass(frozen=True)
class LossInputs:
    """What `loss` sees of a micro-batch. Log-probs and entropies have a gradient."""

    logps_BT: Tensor
    """log p_θ(y_t | x, y_<t); 0 outside the completion."""
    mask_BT: Tensor
    """True on the completion's tokens, its stop token included."""
    weights_BT: Tensor
    """What `weigh` gave: [B, 1], or [B, T] for a weight a token. 1 where it gave nothing."""
    entropies_BT: Tensor
    """Entropy of the policy at each token; its gradient with `entropy_gradient`."""
    old_logps_BT: Tensor
    """The log-probs at the first update on these completions, detached; then the same as now."""
    reference_BT: Tensor | None = None
    weight_clip: float | None = None
    """The largest weight, up or down: of `weights_BT` already; a weight made in `loss` is cut."""
    reader: str = "an objective"
    """Whose loss it is, for errors."""
    mean_length: float = math.nan
    """Tokens a completion over all the step's completions, of all processes."""

    @property
    def reference_logps_BT(self) -> Tensor:
        """With `reference` in `loss_needs`: the log-probs of the model before training."""
        if self.reference_BT is None:
            raise ConfigError(
                f"{self.reader} reads reference_logps_BT in its loss, which is there only with "
                "'reference' in loss_needs"
            )
        return self.reference_BT


@dataclass(frozen=True)
class SequenceLoss:
    """A loss and what is recorded of its weight, one of each per row; the trainer sums them."""

    loss_B: Tensor
    """The row's loss, with gradient."""
    log_weight_B: Tensor
    """log |w| of the weight that multiplies the log-likelihood; float32 or float64."""
    sign_B: Tensor
    """Its sign."""
    log_confidence_B: Tensor
    """log of the weight before a constant was added to it; else `log_weight_B`."""


class RunSettings(Protocol):
    """What an objective's `check` sees of the run; `RLSCConfig` has it all."""

    num_generations: int
    num_iterations: int
    train_generations: int
    rollout_policy: str
    entropy_floor: float | None
    skip_weight_below: float
    mask_truncated_completions: bool
    importance_sampling_correction: bool


class Objective:
    """A loss over completions. Subclasses define `weigh`, `loss`, or both.

    `weights_need` and `loss_needs` are class variables of a subclass, as
    ``weights_need = frozenset({"answers"})``, or properties where they depend on its settings.
    Fields of a subclass that is a dataclass are its settings; one that was declared by
    `rlsc.config.fields.setting` is checked where an instance is made.
    """

    is_control: ClassVar[bool] = False
    """Of a registered objective: it cannot teach anything, and is dashed in a comparison."""
    in_sums_alone: ClassVar[bool] = False
    """Of a registered objective: by itself it has nothing to act on."""
    on_a_card: ClassVar[str] = ""
    """Of a registered objective: what a tuned model's card says of the method."""

    reward_model: str | None = None
    """Hub id or folder of the reward model: a field where `weights_need` has `reward_model`."""
    votes_of: str | None = None
    """Who votes, ``teacher`` or ``paraphrase``: a field where `weights_need` has `votes`."""
    teacher_rate: float = 0.01
    """How far the teacher goes towards the policy: a field where `votes_of` may be one."""
    value_learning_rate: float = 1e-3
    """AdamW's for the value head: a field where `weights_need` has `values`."""

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def weights_need(self) -> Collection[str]:
        """Which of `WEIGHTS_NEEDS` `weigh` reads of a pool."""
        return frozenset()

    @property
    def loss_needs(self) -> Collection[str]:
        """Which of `LOSS_NEEDS` `loss` reads of a micro-batch."""
        return frozenset()

    @property
    def added(self) -> float:
        """What is added to every weight; nan where nothing is."""
        return math.nan

    @property
    def zero_weight_is_zero_gradient(self) -> bool:
        """Whether a completion of weight 0 has no gradient, so that its backward is spared."""
        return False

    @property
    def unread(self) -> Collection[str]:
        """Names of its settings that have no effect as the others are."""
        return ()

    @property
    def completions_given(self) -> bool:
        """Whether the data set brings the completions, so that nothing is sampled."""
        return False

    def check(self, run: RunSettings) -> None:
        """Raise `ConfigError` where this objective and the run's settings exclude each other."""
        check_needs(self)
        if "reward_model" in self.weights_need and self.reward_model is None:
            raise ConfigError(
                f"objective {type(self).__name__} needs a reward model: name one with "
                "--reward_model"
            )
        if run.skip_weight_below:
            raise ConfigError(
                "skip_weight_below is for objective rlsc alone: its bound is of rlsc's own weights"
            )

    def check_labels(
        self, ids: Collection[str], answers: AnswerKey | None, some: bool = False
    ) -> None:
        """Raise `ConfigError` where it needs labels that these questions have not.

        With `some` one is enough. Nobody else touches the answers.
        """
        if "labels" not in self.weights_need:
            return
        known = AnswerKey({}) if answers is None else answers
        missing = [name for name in ids if name not in known]
        if some and len(missing) == len(ids):
            raise ConfigError(
                f"label_share: none of {len(ids)} training questions keeps a reference answer: "
                "raise it, name the column with --answer_column, or take an objective without "
                "labels, such as ttrl"
            )
        if missing and not some:
            raise ConfigError(
                f"objective {type(self).__name__} needs labels, and {len(missing)} of {len(ids)} "
                f"training questions have no reference answer (such as {missing[0]!r}): name "
                "the column with --answer_column, set label_share to judge these by their "
                "siblings' majority, or take an objective without labels"
            )
        for name in (name for name in ids if name in known):
            if not isinstance(known[name], str):
                raise ConfigError(
                    f"the reference answer of question {name!r} is {known[name]!r:.60}, not text"
                )

    def weigh(self, pool: PoolView) -> Tensor | None:
        """Weights of a pool's completions, [K] or [K, T], detached. None: no weights."""
        return None

    def over_step(
        self, parts: tuple[Tensor, ...], mask_NT: Tensor, logps_NT: Tensor | None
    ) -> tuple[Tensor, ...]:
        """The weights of all the step's completions, [N, 1] or [N, T] of each part of a sum.

        What `weigh` gave, by default: for what depends on more than one pool. `mask_NT` is True on
        the completions' tokens, `logps_NT` is there with `scores`. N are this process's; of several
        all call it.
        """
        return parts

    def loss(self, rows: LossInputs) -> SequenceLoss:
        """Loss of each row: by default −w · log p_θ(y|x)."""
        return weighted_likelihood(rows)


_RENAMED = {
    "needs": "weights_need (what weigh reads) and loss_needs (what loss reads)",
    "entropy_gradient": "'entropy_gradient' in loss_needs",
    "weights_refer": "'reference' in weights_need",
    "loss_refers": "'reference' in loss_needs",
    "spares_idle": "zero_weight_is_zero_gradient",
}


def check_needs(objective: Objective) -> None:
    """Raise `ConfigError` where an objective asks for what there is not, or by an old name."""
    name = type(objective).__name__
    for old, new in _RENAMED.items():
        if hasattr(type(objective), old):
            raise ConfigError(f"objective {name}: {old} is now {new}")
    for where, known in (("weights_need", WEIGHTS_NEEDS), ("loss_needs", LOSS_NEEDS)):
        needs = getattr(objective, where)
        if isinstance(needs, str):
            raise ConfigError(f"objective {name}: {where} is a set of names, as {{{needs!r}}}")
        for need in sorted(set(needs) - set(known)):
            raise ConfigError(
                f"objective {name}: {where} has {need!r}; known are {', '.join(known)}"
            )


def weighted_likelihood(rows: LossInputs) -> SequenceLoss:
    """−Σ_t w · log p_θ(y_t | x, y_<t), w constant to the gradient."""
    loss_B = -(rows.weights_BT * rows.logps_BT).sum(-1)
    return sequence_loss(loss_B, rows)


def sequence_loss(loss_B: Tensor, rows: LossInputs) -> SequenceLoss:
    """`loss_B` with the record of `rows.weights_BT`: of a weight a token, the mean."""
    weight_B = rows.weights_BT[:, 0]
    if rows.weights_BT.shape[1] > 1:
        inside_BT = rows.weights_BT.masked_fill(~rows.mask_BT, 0.0)
        weight_B = inside_BT.sum(-1) / rows.mask_BT.sum(-1).clamp(min=1)
    log_weight_B = weight_B.abs().log()
    return SequenceLoss(loss_B, log_weight_B, weight_B.sign(), log_weight_B)


def __getattr__(name: str) -> Any:
    check_renamed(__name__, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
