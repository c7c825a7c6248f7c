"""Whether token trees serve a model: its log-probs must be those of padded rows.

The two add up in another order, and a CPU may round sums of such size by more than a bound on
log-probs of improbable tokens allows. So where they differ, both are computed in float64: what is
left then is the architecture's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlsc.errors import ModelError
from rlsc.logprobs.padded_rows import ScoredSequence, pad
from rlsc.logprobs.scorer import Layout, Scorer, score_completions, score_tree
from rlsc.logprobs.token_tree import make_tree
from rlsc.logprobs.tree_attention import Paths
from rlsc.models import check_architecture, hides_its_window, in_float64
from rlsc.runtime import is_out_of_memory

EXACT = 1e-3
"""A tree's log-probs may be so far from padded rows' in any case, in nats."""
EXACT_IN_FLOAT64 = 1e-4
"""In float64, as a share of the largest log-prob: norms and softmaxes that a model computes in
float32 round by less, and a wrong mask or position is off by more than a hundred times that. Of
log-probs beyond 10 nats it is the larger of the two bounds."""
LOOSE = 0.02
"""As a share of the largest log-prob, where float64 cannot be had: still less than a wrong mask."""
ROUNDINGS = 4
"""There: how many times padded rows' own rounding a tree may be off."""


def supported_layout(model: Any, layout: Layout) -> tuple[Layout, str | None]:
    """The layout that serves the model: `layout`, or padded rows and the reason why."""
    if not layout.padding_free:
        return layout, None
    try:
        _check(model, layout)
    except ModelError as error:
        return Layout(padding_free=False, vocabulary=layout.vocabulary), str(error)
    return layout, None


def _check(model: Any, layout: Layout) -> None:
    """Raises `ModelError` where a tree's log-probs are not the padded rows'."""
    check_architecture(model)
    rows = _rows(model.config.get_text_config().vocab_size)
    expected, logps = _both(model, layout, rows)
    difference = _difference(expected, logps)
    if difference <= EXACT:
        return
    largest = max(1.0, expected.abs().max().item())
    in_64 = _difference_in_float64(model, layout, rows)
    if in_64 is None:
        bound = _bound_of_rounding(model, rows, expected, LOOSE * largest)
    else:
        difference, bound = in_64, EXACT_IN_FLOAT64 * largest
    if not difference <= bound:
        raise ModelError(f"its log-probs are off by {difference:.2g} (bound {bound:.2g})")


def _difference_in_float64(
    model: Any, layout: Layout, rows: Sequence[ScoredSequence]
) -> float | None:
    """None where float64 cannot be had: quantised weights, a kernel without it, no memory for it,
    or an attention that narrows its mask, so that padding is nan (Gemma 2's in transformers 5.24).
    """
    try:
        with in_float64(model):
            expected, logps = _both(model, layout, rows)
    except Exception:
        return None
    return None if expected.isnan().any() else _difference(expected, logps)


def _rows(vocabulary: int) -> list[ScoredSequence]:
    """Two prompts, one the other's beginning, with completions that share beginnings."""
    prompt = tuple(index % vocabulary for index in range(1, 8))
    return [
        ScoredSequence(prompt[:stop], tuple(token % vocabulary for token in end), (0,))
        for stop in (7, 4)
        for end in ((2, 3, 4), (2, 3, 5, 6), (7,))
    ]


@torch.no_grad()
def _both(model: Any, layout: Layout, rows: Sequence[ScoredSequence]) -> tuple[Tensor, Tensor]:
    """The rows' log-probs, [B, T]: padded, and of their tree."""
    scorer = Scorer(model, layout)
    training = model.training
    device = next(model.parameters()).device
    own = model.config._attn_implementation
    paths = Paths(make_tree(rows, layout.share_prefixes).to(device), own)
    try:
        model.eval()
        expected = _padded_logps(model, (rows[:3], rows[3:]))
        model.train()  # dropout that is on would be drawn once for all paths: it shows here
        with scorer.attached(), torch.random.fork_rng():
            tree = score_tree(model, paths, 1.0, layout.logits_chunk_size).logps_BT
    except ModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise  # padded rows would take more
        raise ModelError(f"its forward failed: {error}") from error
    finally:
        model.train(training)
    if not paths.windows:
        raise ModelError("its layers do not call the attention function")
    if hides_its_window(model.config.get_text_config(), paths.windows):
        raise ModelError("its attention is not told of its sliding window")
    return expected, tree[:, : expected.shape[1]]


def _difference(expected: Tensor, logps: Tensor) -> float:
    return (logps - expected).abs().max().item()


@torch.no_grad()
def _bound_of_rounding(
    model: Any, rows: Sequence[ScoredSequence], expected: Tensor, loose: float
) -> float:
    """What rounding may make of it, by what padded rows change where each is computed alone."""
    if next(model.parameters()).dtype == torch.bfloat16:
        return loose
    training = model.training
    try:
        model.eval()
        alone = _padded_logps(model, [[row] for row in rows])
    finally:
        model.train(training)
    return max(EXACT, min(ROUNDINGS * _difference(expected, alone), loose))


def _padded_logps(model: Any, parts: Sequence[Sequence[ScoredSequence]]) -> Tensor:
    """Log-probs of all rows, [B, T], each part padded and computed by itself."""
    logps = [score_completions(model, pad(part), 1.0)[0] for part in parts]
    width = max(part.shape[1] for part in logps)
    return torch.cat([nn.functional.pad(part, (0, width - part.shape[1])) for part in logps])
