"""What the policy says of a micro-batch's tokens: log-probs, entropies, self-certainty.

Padded rows are the plain way and the reference. A token tree computes no padding and no shared
beginning twice; whether it serves a model is tested by comparing the two (support.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlsc.logprobs.padded_rows import MicroBatch, ScoredSequence, make_micro_batches
from rlsc.logprobs.token_logprobs import token_entropies, token_logps, token_self_certainty
from rlsc.logprobs.token_tree import TreeBatch, make_tree_batches
from rlsc.logprobs.tree_attention import NAME, Paths
from rlsc.logprobs.vocabulary_head import pair_scores
from rlsc.models import lent_attention
from rlsc.runtime import unsharded

Batch = MicroBatch | TreeBatch


class TokenStats(NamedTuple):
    """Of each completion token, [B, T], in nats, 0 outside the completion."""

    logps_BT: Tensor
    """With gradient."""
    entropies_BT: Tensor
    """With gradient only where it was asked for."""
    self_certainty_BT: Tensor
    """KL(uniform ‖ policy), no gradient."""
    states_BTH: Tensor | None = None
    """Where asked for: the last hidden state that predicts the token; no gradient."""


@dataclass(frozen=True)
class Layout:
    """How micro-batches are computed; the first fields are those of `RLSCConfig`."""

    padding_free: bool = True
    share_prefixes: bool = True
    logits_chunk_size: int = 256
    vocabulary: int | None = None
    """Ids from this one on are no tokens, and have no probability, as none samples them."""

    def cut(self, rows: Sequence[ScoredSequence], tokens_per_microbatch: int) -> Sequence[Batch]:
        if self.padding_free:
            return make_tree_batches(rows, tokens_per_microbatch, self.share_prefixes)
        return make_micro_batches(rows, tokens_per_microbatch)


class Scorer:
    """Computes micro-batches within `attached()`. `model` may be wrapped, e.g. by an adapter.

    `device_type` is the device whose ways of computing are taken, where that is not the model's
    own: a plan runs tensors without data as another device would.
    """

    def __init__(
        self,
        model: Any,
        layout: Layout,
        tokens_per_microbatch: int = 1024,
        device_type: str | None = None,
    ) -> None:
        self.layout, self._device_type = layout, device_type
        self._tokens_per_microbatch = tokens_per_microbatch
        self._replaces = model.config._attn_implementation
        self.model = model

    def cut(self, rows: Sequence[ScoredSequence]) -> Sequence[Batch]:
        """Rows as micro-batches."""
        return self.layout.cut(rows, self._tokens_per_microbatch)

    def attached(self) -> AbstractContextManager[Any]:
        """Forward and backward passes of token trees belong within."""
        return lent_attention(self.model, NAME) if self.layout.padding_free else nullcontext()

    def alone(self) -> AbstractContextManager[None]:
        """Within, forward passes without gradient wait for no other process."""
        return unsharded(self.model)

    @torch.no_grad()
    def gaps(self, states_MH: Tensor, temperature: float) -> Tensor:
        """How much likelier the likeliest next token is than the second, [M], from 0 to 1.

        Of hidden states that predict a token (`states` of a call), by the vocabulary head alone,
        some at a time.
        """
        head = self.model.get_output_embeddings()
        softcap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        dtype = next((p.dtype for p in head.parameters() if p.is_floating_point()), None)
        gaps = [states_MH.new_zeros(0, dtype=torch.float32)]
        for part_MH in states_MH.split(self.layout.logits_chunk_size or len(states_MH) or 1):
            logits_MV = head(part_MH.to(dtype))
            if softcap is not None:
                logits_MV = torch.tanh(logits_MV / softcap) * softcap
            scaled_MV = logits_MV[:, : self.layout.vocabulary].float() / temperature
            best_M2 = (scaled_MV.topk(2, -1).values - scaled_MV.logsumexp(-1, True)).exp()
            gaps.append(best_M2[:, 0] - best_M2[:, 1])
        return torch.cat(gaps)

    def evaluate(self, batch: Batch, temperature: float) -> TokenStats:
        """Apart from training: attached, alone, and without dropout, which would change a run."""
        training = self.model.training
        self.model.eval()
        try:
            with self.attached(), self.alone():
                return self(batch, temperature)
        finally:
            self.model.train(training)

    def __call__(
        self,
        batch: Batch,
        temperature: float,
        model: Any = None,
        entropy_gradient: bool = False,
        states: bool = False,
    ) -> TokenStats:
        model = self.model if model is None else model
        head_input: AbstractContextManager[list[Tensor]] = nullcontext([])
        if states:
            head_input = _head_input(self.model)
        with head_input as seen:
            if isinstance(batch, MicroBatch):
                scores = score_completions(
                    model, batch, temperature, entropy_gradient, self.layout.vocabulary
                )
            else:
                device = next(model.parameters()).device
                paths = Paths(batch.to(device), self._replaces, self._device_type)
                chunk, vocabulary = self.layout.logits_chunk_size, self.layout.vocabulary
                scores = score_tree(model, paths, temperature, chunk, entropy_gradient, vocabulary)
        return scores._replace(states_BTH=_states(batch, seen[0])) if seen else scores


def score_completions(
    model: torch.nn.Module,
    batch: MicroBatch,
    temperature: float,
    entropy_gradient: bool = False,
    vocabulary: int | None = None,
) -> TokenStats:
    """The plain way: padded rows, all logits of their completions at once."""
    device = next(model.parameters()).device
    tokens_BT = batch.completion_ids_BT.to(device)
    outside_BT = ~batch.completion_mask_BT.to(device)
    attention_mask_BL = batch.attention_mask_BL.to(device)
    length = tokens_BT.shape[1]  # prompts are padded on the left: completions start in one column
    logits_BTV = model(
        input_ids=batch.input_ids_BL.to(device),
        attention_mask=attention_mask_BL,
        position_ids=(attention_mask_BL.cumsum(-1) - 1).clamp(min=0),
        logits_to_keep=length + 1,
        use_cache=False,
    ).logits[:, -length - 1 : -1, :vocabulary]
    entropies_BT = token_entropies(
        logits_BTV if entropy_gradient else logits_BTV.detach(), temperature
    )
    values = (
        token_logps(logits_BTV, tokens_BT, temperature),
        entropies_BT,
        token_self_certainty(logits_BTV, temperature),
    )
    return TokenStats(*(value.masked_fill(outside_BT, 0.0) for value in values))


def score_tree(
    model: Any,
    paths: Paths,
    temperature: float,
    logits_chunk_size: int,
    entropy_gradient: bool = False,
    vocabulary: int | None = None,
) -> TokenStats:
    """The same of a token tree, with the model's attention lent to `path_attention`."""
    tree = paths.tree
    how = (temperature, logits_chunk_size, entropy_gradient, vocabulary)
    with _scoring_head(model, paths, *how):
        scores_M3 = model(
            input_ids=tree.token_ids_N[None],
            position_ids=tree.position_ids_N[None],
            use_cache=False,
            paths=paths,
        ).logits[0]
    outside_BT = ~tree.completion_mask_BT
    scores_BT3 = scores_M3[tree.pair_BT].masked_fill(outside_BT[..., None], 0.0)
    logps_BT, entropies_BT, certainty_BT = scores_BT3.unbind(-1)
    if not entropy_gradient:
        entropies_BT = entropies_BT.detach()
    return TokenStats(logps_BT, entropies_BT, certainty_BT.detach())


@contextmanager
def _head_input(model: Any) -> Iterator[list[Tensor]]:
    """Within, what the vocabulary head is given is put into the list."""
    seen: list[Tensor] = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        yield seen
    finally:
        hook.remove()


def _states(batch: Batch, hidden: Tensor) -> Tensor:
    """The states that predict each completion token, [B, T, H]; any value outside."""
    if isinstance(batch, MicroBatch):
        columns = batch.completion_mask_BT.shape[1]
        return hidden[:, -columns - 1 : -1]
    tree = batch.to(hidden.device)
    return hidden[0, tree.predictor_U[tree.pair_at_M[tree.pair_BT]]]


@contextmanager
def _scoring_head(
    model: Any,
    paths: Paths,
    temperature: float,
    chunk: int,
    entropy_gradient: bool,
    vocabulary: int | None,
) -> Iterator[None]:
    """Within, the vocabulary head gives scores of pairs, [1, M, 3], instead of logits.

    It does so inside the model's own forward, where wrappers expect its weights to be used.
    """
    tree, device_type = paths.tree, paths.device_type
    model = getattr(model, "module", model)  # of a wrapper
    head, config = model.get_output_embeddings(), model.config.get_text_config()
    own, replaced = head.forward, vars(head).get("forward")
    softcap = getattr(config, "final_logit_softcapping", None)

    def logits(hidden_UH: Tensor) -> Tensor:
        return own(hidden_UH) if softcap is None else torch.tanh(own(hidden_UH) / softcap) * softcap

    def scores(hidden_1NH: Tensor) -> Tensor:
        hidden_UH = hidden_1NH[0].index_select(0, tree.predictor_U)
        at_M, tokens_M = tree.pair_at_M, tree.pair_token_M
        how = (temperature, chunk, entropy_gradient, device_type, vocabulary)
        scores_3M = pair_scores(logits, hidden_UH, at_M, tokens_M, *how)
        return torch.stack(scores_3M, -1)[None]

    head.forward = scores
    if softcap is not None:
        config.final_logit_softcapping = None  # of logits, not of scores
    try:
        yield
    finally:
        if softcap is not None:
            config.final_logit_softcapping = softcap
        del head.forward
        if replaced is not None:
            head.forward = replaced
