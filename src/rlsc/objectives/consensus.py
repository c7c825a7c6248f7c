"""What objectives share whose siblings vote on the answer: a mask over the answer's own tokens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from rlsc.config import setting
from rlsc.objectives.base import PoolView
from rlsc.objectives.semantic_entropy import EntropyScaled


@dataclass(frozen=True, kw_only=True)
class Consensus(EntropyScaled):
    """A_t = A · γ on the tokens of y's final answer, A elsewhere, γ = `answer_span_gradient`.

    A reward that agreement makes is earned at once by raising the agreed answer's own tokens,
    whatever reasoning stands before them; with γ = 0 it can only be earned by the reasoning. The
    mean over tokens still counts all of them. A divergence beside it (`beta`) acts on all tokens.
    γ = 1 is the objective without a mask, to the bit.
    """

    answer_span_gradient: float = setting(
        1.0, "Share of its weight that a token of the final answer keeps.", least=0, most=1
    )

    @property
    def weights_need(self) -> Collection[str]:
        return {"answers", *({"answer_tokens"} if self.answer_span_gradient < 1 else ())}

    def weights_of(self, rewards_K: Tensor, pool: PoolView) -> Tensor:
        weights_K = super().weights_of(rewards_K, pool)
        if self.answer_span_gradient == 1:
            return weights_K
        taken = 1 - self.answer_span_gradient
        return weights_K[:, None] * (1 - taken * pool.answer_mask_KT.double())
