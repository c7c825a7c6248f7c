"""Token trees, chunked logits and skipping against the plain padded rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from rlsc.logprobs import support
from rlsc.logprobs import tree_attention as path_attention
from rlsc.logprobs.padded_rows import ScoredSequence, make_rows
from rlsc.logprobs.scorer import Layout, Scorer
from rlsc.logprobs.support import supported_layout
from rlsc.logprobs.token_logprobs import token_entropies, token_logps, token_self_certainty
from rlsc.logprobs.token_tree import make_tree, make_tree_batches
from rlsc.logprobs.vocabulary_head import pair_scores
from rlsc.models import in_float64
from rlsc.models.loading import disable_dropout
from rlsc.objectives import RLSC, Objective
from rlsc.objectives.entropy_loss import EntropyLoss
from rlsc.objectives.self_certainty import SelfCertainty
from rlsc.training.metrics import StepRecord
from rlsc.training.update import micro_batch_loss, rows_that_weigh
from rlsc.types import Completion, CompletionGroup, Prompt
from tests.conftest import VOCABULARY, tiny_model
from tests.invariant.engines.test_native import UNTOLD_WINDOW, made
from tests.invariant.weighed import weigh

PLAIN = Layout(padding_free=False)
LAYOUTS = {
    "tree": Layout(),
    "paths": Layout(share_prefixes=False),
    "chunks": Layout(logits_chunk_size=3),
    "all logits": Layout(logits_chunk_size=0),
}


def make_groups(seed: int = 0, samples: int = 5, scale: int = 1) -> list[CompletionGroup]:
    """Prompts with one template, ragged siblings that agree for a while, some of them equal."""
    rng = random.Random(seed)

    def draw(count: int) -> tuple[int, ...]:
        return tuple(rng.choices(range(3, VOCABULARY), k=count * scale))

    groups = []
    for number, length in enumerate((1, 4, 2)):
        prompt = Prompt(str(number), "", (7, 8, 9, *draw(length)))
        line = draw(12)
        completions = []
        for _ in range(samples):
            stem = line[: rng.randint(0, 8 * scale)]
            ends = rng.random() < 0.7
            token_ids = (*stem, *draw(rng.randint(0, 4)), *((0,) if ends else draw(1)))
            completions.append(
                Completion(str(token_ids), token_ids, (), "stop" if ends else "length")
            )
        if samples > 1:
            completions[-1] = completions[0]
        groups.append(CompletionGroup(prompt, completions))
    return groups


def update(
    model: torch.nn.Module,
    groups: list[CompletionGroup],
    layout: Layout,
    *,
    weight: str = "sequence",
    objective: Objective | None = None,
    tokens: int = 40,
    merge: bool = True,
    mask_truncated: bool = False,
    alpha: float = 0.1,
    skip: float = 0.0,
    autocast: bool = False,
) -> tuple[Tensor, dict[str, Tensor], StepRecord]:
    """Loss, gradients and record of one step."""
    scorer = Scorer(model, layout)
    objective = objective or RLSC(weight, alpha)
    batches = layout.cut(make_rows(groups, merge), tokens)
    size = sum(len(group.completions) for group in groups)

    def score(batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return scorer(batch, 0.5, entropy_gradient="entropy_gradient" in objective.loss_needs)

    record = StepRecord.empty(size)
    model.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    with scorer.attached():
        weights = weigh(groups, objective, batches, score, mask_truncated)

        def loss_of(batch):
            return micro_batch_loss(batch, score(batch), objective, weights, record) / size

        if skip:
            with torch.no_grad():
                for batch in batches:
                    loss_of(batch)
            rows = [row for batch in batches for row in batch.rows]
            batches = layout.cut(rows_that_weigh(groups, record, rows, skip), tokens)
        for batch in batches:
            loss = loss_of(batch)
            loss.backward()
            total += loss.detach()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return total, gradients, record


def check_same(one, other, tolerance: float) -> None:
    (loss, gradients, record), (loss2, gradients2, record2) = one, other
    assert torch.allclose(loss, loss2, rtol=tolerance)
    assert gradients.keys() == gradients2.keys()
    largest = max(gradient.abs().max() for gradient in gradients.values())
    assert largest > 1e-4
    for name, gradient in gradients.items():
        assert (gradient - gradients2[name]).abs().max() <= tolerance * largest, name
    for name in ("logps_N", "log_confidence_N", "log_weight_N", "entropy_sum_N", "lengths_N"):
        mine, theirs = getattr(record, name), getattr(record2, name)
        assert torch.allclose(mine, theirs, rtol=tolerance, atol=tolerance), name


# In float64 but for the norms of all families but GPT-2: transformers computes them in float32,
# and rounds a gradient once for a shared token where padded rows round it once each.
TOLERANCE = {"gpt2": 1e-12}
FAMILIES = ("llama", "qwen2", "gpt2", "qwen3", "gemma2", "gemma3", "mistral")


def cases() -> Iterator[tuple[list[CompletionGroup], dict[str, Any]]]:
    for case in (
        {"weight": "sequence"},
        {"weight": "token", "merge": False},
        {"weight": "group_softmax", "tokens": 1},  # a micro-batch each: most accumulation
        {"weight": "answer", "tokens": 10**6},
        {"mask_truncated": True},
        {"objective": EntropyLoss()},
        {"objective": SelfCertainty(), "tokens": 1},
    ):
        yield make_groups(), case
    for samples, seed in ((1, 1), (1, 2), (9, 3)):
        yield make_groups(seed, samples), {}


@cache
def padded_updates(family: str) -> list[tuple[Tensor, dict[str, Tensor], StepRecord]]:
    """Once for all layouts."""
    model = tiny_model(family).double()
    return [update(model, groups, PLAIN, **case) for groups, case in cases()]


@pytest.mark.parametrize(
    ("family", "layout"),
    [
        # The tree is the default, and the others are parts of it: for those alike they are slow.
        pytest.param(family, layout, marks=pytest.mark.slow if alike and layout != "tree" else ())
        for family in FAMILIES
        for alike in [family in ("qwen2", "qwen3", "gemma3", "mistral")]
        for layout in LAYOUTS
    ],
)
def test_loss_and_every_gradient_are_those_of_padded_rows(family: str, layout: str) -> None:
    model = tiny_model(family).double()
    for (groups, case), plain in zip(cases(), padded_updates(family), strict=True):
        result = update(model, groups, LAYOUTS[layout], **case)
        check_same(plain, result, TOLERANCE.get(family, 1e-5))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_those_of_padded_rows(family: str, layout: str) -> None:
    """What a value head sees of each token: the head on them gives the token's own log-prob."""
    model = tiny_model(family).double()
    rows = make_rows(make_groups(), merge_duplicates=True)
    found = []
    for one in (PLAIN, LAYOUTS[layout]):
        scorer = Scorer(model, one)
        states = {}
        with scorer.attached(), torch.no_grad():
            for batch in one.cut(rows, 40):
                scores = scorer(batch, 1.0, states=True)
                assert scores.states_BTH is not None
                for row, hidden, inside in zip(
                    batch.rows, scores.states_BTH, batch.completion_mask_BT, strict=True
                ):
                    states[row.members] = hidden[inside]
        found.append(states)
    plain, other = found
    assert plain.keys() == other.keys()
    for members, hidden in plain.items():
        assert torch.allclose(hidden, other[members], rtol=1e-5, atol=1e-6)
        assert hidden.abs().max() > 1e-3


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_paths_longer_than_whole_scores_are_held_for(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 on a CPU short paths go by products and long ones by sdpa: the same."""
    model = tiny_model(family)
    results = []
    for short in (0, 10**6):
        monkeypatch.setattr(path_attention, "_SHORT", short)
        results.append(update(model, make_groups(scale=6), Layout(), tokens=300))
    check_same(*results, tolerance=2e-5)
    check_same(results[0], update(model, make_groups(scale=6), PLAIN, tokens=300), 1e-4)


def test_with_gradient_checkpointing(model) -> None:
    model.double()
    plain = update(model, make_groups(), PLAIN)
    disable_dropout(model)
    model.train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    layer = model.get_decoder().layers if hasattr(model, "model") else model.transformer.h
    # Of a part: the layer's own hooks lie outside of what transformers 5.24 computes again.
    next(layer[0].children()).register_forward_pre_hook(count)
    check_same(plain, update(model, make_groups(), Layout(), tokens=10**6), 1e-5)
    assert calls == 2  # forward, and again for the backward pass


def test_with_an_adapter() -> None:
    torch.manual_seed(0)
    model = get_peft_model(tiny_model(), LoraConfig(target_modules="all-linear")).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    plain, tree = (update(model, make_groups(), layout) for layout in (PLAIN, Layout()))
    assert all("lora_" in name for name in plain[1])
    check_same(plain, tree, 1e-5)


def test_in_bf16_it_is_as_near_to_the_truth_as_padded_rows(model) -> None:
    """Under autocast: the relative error of the gradient, each against float32."""
    groups = make_groups(seed=4, samples=12)
    _, truth, _ = update(model, groups, PLAIN)

    def error(layout: Layout) -> float:
        _, gradients, _ = update(model, groups, layout, autocast=True)
        off = sum((gradients[name] - truth[name]).square().sum() for name in truth)
        return (off / sum(one.square().sum() for one in truth.values())).sqrt().item()

    padded, tree = error(PLAIN), error(Layout())
    assert 1e-4 < padded < 0.1  # it is bfloat16, and not nonsense
    assert tree < 1.5 * padded


def test_a_tree_holds_every_beginning_once() -> None:
    rows = sorted(make_rows(make_groups(), merge_duplicates=False), key=lambda row: row.tokens)
    tree = make_tree(rows)
    beginnings = {row.tokens[:n] for row in rows for n in range(1, len(row.tokens))}
    assert tree.tokens == len(beginnings) < 0.6 * sum(len(row.tokens) - 1 for row in rows)
    for row, path in zip(rows, tree.path_BL, strict=True):
        nodes = path[: len(row.tokens) - 1]
        assert tuple(tree.token_ids_N[nodes].tolist()) == row.tokens[:-1]
        assert tree.position_ids_N[nodes].tolist() == list(range(len(nodes)))
    assert make_tree(rows, share=False).tokens == sum(len(row.tokens) - 1 for row in rows)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("budget", [1, 25, 60, 10**6])
def test_trees_keep_their_budget_and_are_of_like_size(budget: int, share: bool) -> None:
    rows = make_rows(make_groups(samples=12), merge_duplicates=False)
    trees = make_tree_batches(rows, budget, share)
    assert sorted(m for tree in trees for row in tree.rows for m in row.members) == list(range(36))
    for tree in trees:
        prompt = len(tree.rows[0].prompt_ids) if share else 0
        assert tree.tokens - prompt <= budget or len(tree.rows) == 1
    again = make_tree_batches(list(reversed(rows)), budget, share)
    assert [tree.rows for tree in again] == [tree.rows for tree in trees]
    # As few as any contiguous cut of this order can make, and no budget a tenth lower does.
    ordered = [row for tree in trees for row in tree.rows]

    def fewest(budget: float) -> int:
        number, start = 1, 0
        for end in range(1, len(ordered) + 1):
            prompt = len(ordered[start].prompt_ids) if share else 0
            if end - start > 1 and make_tree(ordered[start:end], share).tokens - prompt > budget:
                number, start = number + 1, end - 1
        return number

    assert len(trees) == fewest(budget)
    largest = max(t.tokens - (len(t.rows[0].prompt_ids) if share else 0) for t in trees)
    assert len(trees) == len(rows) or fewest(largest - 1) > len(trees)


def test_no_rows_make_no_trees() -> None:
    assert make_tree_batches([], 100) == []


NESTED = (  # each begins with the one before, wholly or but for its last token
    *(((3, 4), (5, 6)), ((3, 4), (5, 6, 8)), ((3, 4, 5), (6, 7)), ((3, 4, 5), (6,))),
    *(((3,), (4,)), ((3,), (4, 5)), ((3, 4, 5, 6), (0,)), ((3, 4, 5, 6), (0,)), ((9,), (9,))),
)


@pytest.mark.parametrize("tokens", [1, 6, 10**6])
def test_sequences_that_go_on_where_others_end(tokens: int) -> None:
    """One-token prompts and completions, a prompt that holds another question's completion."""
    model = tiny_model("gpt2").double()
    groups = [
        CompletionGroup(Prompt(str(i), "", prompt), [Completion(str(i), ids, (), "length")])
        for i, (prompt, ids) in enumerate(NESTED)
    ]
    plain = update(model, groups, PLAIN, tokens=tokens)
    check_same(plain, update(model, groups, Layout(), tokens=tokens), 1e-12)


def test_many_paths_are_attended_to_a_few_at_a_time(model, monkeypatch: pytest.MonkeyPatch) -> None:
    model.double()
    groups = make_groups(samples=12)
    whole = update(model, groups, Layout(), tokens=10**6)
    monkeypatch.setattr(path_attention, "_SCORES", 1)
    seen: list[int] = []
    attend = path_attention._attend

    def watched(query, *args, **kwargs):
        seen.append(len(query))
        return attend(query, *args, **kwargs)

    monkeypatch.setattr(path_attention, "_attend", watched)
    check_same(whole, update(model, groups, Layout(), tokens=10**6), 1e-12)
    assert set(seen) == {1}


def test_a_prompt_longer_than_the_budget_is_still_shared() -> None:
    prompt = tuple(i % 20 + 3 for i in range(200))
    rows = [ScoredSequence(prompt, (4 + k, 5, 6, 0), (k,)) for k in range(8)]
    trees = make_tree_batches(rows, 100)
    assert [tree.tokens for tree in trees] == [200 + 8 * 3]
    assert len(make_tree_batches(rows, 1)) == 8


def test_merging_and_sharing_together_are_the_plain_step(model) -> None:
    model.double()
    plain = update(model, make_groups(), PLAIN, merge=False)
    check_same(plain, update(model, make_groups(), Layout(), merge=True), 1e-5)


def test_scores_that_a_model_caps() -> None:
    """Gemma 2's own attention, where it is not sdpa, caps its scores."""
    capping = {"attn_implementation": "eager", "attn_logit_softcapping": 2.0}
    model = tiny_model("gemma2", **capping)
    capped = update(model, make_groups(), PLAIN)
    check_same(capped, update(model, make_groups(), Layout()), 1e-4)
    model = tiny_model("gemma2", **capping | {"attn_logit_softcapping": None})
    free, _, _ = update(model, make_groups(), PLAIN)
    assert not torch.allclose(free, capped[0], rtol=1e-3)


def test_a_forward_that_fails_gives_everything_back() -> None:
    model = tiny_model()
    scorer = Scorer(model, Layout())
    (batch,) = scorer.layout.cut(make_rows(make_groups(), True), 10**6)
    broken = model.model.layers[1].mlp.forward
    model.model.layers[1].mlp.forward = None
    with pytest.raises(TypeError), scorer.attached():
        scorer(batch, 1.0)
    model.model.layers[1].mlp.forward = broken
    assert model.config._attn_implementation == "sdpa"
    assert "forward" not in vars(model.get_output_embeddings())


def test_no_more_logits_than_a_chunk_are_ever_made(model) -> None:
    seen: list[int] = []
    head = model.get_output_embeddings()
    plain = type(head).forward
    head.forward = lambda x: seen.append(x.numel() // x.shape[-1]) or plain(head, x)
    update(model, make_groups(), Layout(logits_chunk_size=4), tokens=10**6)
    assert max(seen) == 4
    assert len(seen) > 10  # forward and backward
    seen.clear()
    update(model, make_groups(), Layout(logits_chunk_size=0), tokens=10**6)
    assert len(seen) == 1


@pytest.mark.parametrize("chunk", [0, 1, 4, 100])
@pytest.mark.parametrize("rows_at_once", [1, 3, 32])
@pytest.mark.parametrize("entropy_gradient", [False, True])
@pytest.mark.parametrize("forbids", [False, True])
def test_pair_scores_are_the_log_softmax(
    chunk: int,
    rows_at_once: int,
    entropy_gradient: bool,
    forbids: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rlsc.logprobs.vocabulary_head._ON_CPU", rows_at_once)
    torch.manual_seed(0)
    hidden = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(30, 6, dtype=torch.float64, requires_grad=True)
    forbidden = torch.zeros(30, dtype=torch.float64)
    if forbids:
        forbidden[[4, 7]] = -torch.inf
    at, tokens = torch.tensor([0, 0, 1, 2, 2, 2, 3, 5, 6, 7, 8]), torch.arange(11) + 10

    def head(x: Tensor) -> Tensor:
        return x @ weight.T + forbidden

    logps, entropies, certainty = pair_scores(
        head, hidden, at, tokens, 0.7, chunk, entropy_gradient
    )
    logits = head(hidden)[at][None]
    expected = token_logps(logits, tokens[None], 0.7)[0]
    assert torch.allclose(logps, expected, rtol=1e-12)
    plain_entropies = token_entropies(logits, 0.7)[0]
    assert torch.allclose(entropies, plain_entropies, rtol=1e-12)
    assert torch.allclose(certainty, token_self_certainty(logits, 0.7)[0], rtol=1e-12)
    assert torch.isfinite(certainty).all() == (not forbids)
    assert entropies.requires_grad == entropy_gradient
    assert not certainty.requires_grad
    factors, others = torch.randn(2, 11, dtype=torch.float64)
    loss, plain_loss = (factors * logps).sum(), (factors * expected).sum()
    if entropy_gradient:
        loss, plain_loss = (
            loss + (others * entropies).sum(),
            plain_loss + (others * plain_entropies).sum(),
        )
    mine = torch.autograd.grad(loss, (hidden, weight))
    theirs = torch.autograd.grad(plain_loss, (hidden, weight))
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("model_type", "changes", "reason"),
    [
        ("bloom", {"n_head": 4}, "can't set its attention function"),
        ("mamba", {"state_size": 4}, "its layers"),
        (  # its window is in the mask alone
            "qwen2_moe",
            UNTOLD_WINDOW,
            "sliding window",
        ),
    ],
)
def test_a_family_that_trees_do_not_serve_is_padded(
    model_type: str, changes: dict[str, object], reason: str
) -> None:
    layout, why = supported_layout(made(model_type, **changes), Layout())
    assert layout == PLAIN
    assert reason in str(why)


def test_a_model_whose_tree_differs_is_padded() -> None:
    model = tiny_model()
    plain = model.model.forward
    model.model.forward = lambda *args, position_ids=None, **kwargs: plain(*args, **kwargs)
    layout, why = supported_layout(model, Layout())
    assert layout == PLAIN
    assert str(why).startswith("its log-probs are off by")


@pytest.mark.parametrize("layout", [Layout(), PLAIN])
def test_skipping_keeps_within_its_bound(model, layout: Layout) -> None:
    """|g − g'| ≤ share · Σ over the rows left out of (largest weight of the group) · |∇log p|."""
    model.double()
    groups = make_groups(samples=8)
    rows = make_rows(groups, merge_duplicates=True)
    settings = {"alpha": 0.0, "weight": "length_normalized"}
    _, whole, record = update(model, groups, layout, **settings)
    norms = {}
    for row in rows:
        alone = CompletionGroup(
            next(g.prompt for g in groups if g.prompt.token_ids == row.prompt_ids),
            [Completion("", row.completion_ids, (), "stop")],
        )
        _, gradients, _ = update(model, [alone], layout, weight="constant", alpha=1.0)
        norms[row] = torch.cat([one.flatten() for one in gradients.values()]).norm().item()
    weights = record.log_weight_N.exp()
    largest = torch.cat([part.max().expand(8) for part in weights.split(8)])
    left_out = []
    for share in (1e-9, 0.5, 0.9, 1 - 1e-9):
        _, less, _ = update(model, groups, layout, skip=share, **settings)
        kept = rows_that_weigh(groups, record, rows, share)
        gone = [row for row in rows if row not in kept]
        left_out.append(len(gone))
        assert all(weights[row.members[0]] < share * largest[row.members[0]] for row in gone)
        error = torch.cat([(less[name] - whole[name]).flatten() for name in whole]).norm()
        terms = [len(row.members) * largest[row.members[0]].item() * norms[row] for row in gone]
        assert error <= share * sum(terms) / len(weights) + 1e-9
        assert (error > 1e-6) == bool(gone)
    assert left_out[0] == 0
    assert left_out[-1] > left_out[1] > 0
    assert all(a <= b for a, b in pairwise(left_out))
    # A single row of each group is the least that is kept.
    assert len(rows) - left_out[-1] >= len(groups)


def test_rows_of_no_weight_are_skipped_and_a_group_may_be_empty() -> None:
    groups = make_groups(samples=2)
    record = StepRecord.empty(6)
    record.log_weight_N[:] = torch.tensor([-torch.inf, -torch.inf, 0.0, -50.0, -3.0, -torch.inf])
    rows = [ScoredSequence((1,), (index,), (index,)) for index in range(6)]
    kept = rows_that_weigh(groups, record, rows, 1e-3)
    assert [row.members for row in kept] == [(2,), (4,)]


def off_by(monkeypatch: pytest.MonkeyPatch, nats: float, in_float64: float) -> None:
    """Trees are off by so much in the model's own type, and in float64."""
    tree = support.score_tree

    def off(*arguments):
        scores = tree(*arguments)
        by = in_float64 if scores.logps_BT.dtype == torch.float64 else nats
        return scores._replace(logps_BT=scores.logps_BT + by)

    monkeypatch.setattr(support, "score_tree", off)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("in_float64", "served"), [(0.0, True), (2e-3, False), (0.015, False)])
def test_what_rounding_alone_makes_is_no_other_architecture(
    in_float64: float, served: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference that float64 does not have is rounding, of whatever CPU; one that it has is not,
    even where bfloat16 would hide it."""
    off_by(monkeypatch, 0.015, in_float64)
    model = tiny_model().to(dtype)
    layout, why = supported_layout(model, Layout())
    assert layout.padding_free is served
    assert why is None if served else str(why).startswith(f"its log-probs are off by {in_float64}")
    assert {weight.dtype for weight in model.parameters()} == {dtype}


@pytest.mark.parametrize(("rounding", "served"), [(0.01, True), (1e-4, False)])
def test_without_float64_padded_rows_own_rounding_is_the_measure(
    rounding: float, served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    padded = support._padded_logps

    def rounded(model, parts):
        return padded(model, parts) + rounding * (len(parts) > 2)  # each row alone

    off_by(monkeypatch, 0.015, 0.015)
    monkeypatch.setattr(support, "_padded_logps", rounded)
    model = tiny_model()
    # As a quantised weight, which no forward pass here reads.
    model.quantised = torch.nn.Parameter(torch.zeros(1, dtype=torch.uint8), requires_grad=False)
    layout, why = supported_layout(model, Layout())
    assert layout.padding_free is served
    assert why is None if served else str(why).startswith("its log-probs are off by 0.015")


@pytest.mark.parametrize(("dtype", "served"), [(torch.bfloat16, True), (torch.float32, False)])
def test_where_float64_is_nan_in_padding_the_own_types_difference_counts(
    dtype: torch.dtype, served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0015 is what bfloat16 may round, and more than float32 does."""
    padded = support._padded_logps

    def narrowed(model, parts):
        logps = padded(model, parts)
        return logps * torch.nan if logps.dtype == torch.float64 else logps

    monkeypatch.setattr(support, "_padded_logps", narrowed)
    off_by(monkeypatch, 0.0015, 0.0)
    layout, why = supported_layout(tiny_model().to(dtype), Layout())
    assert layout.padding_free is served
    assert why is None if served else str(why) == "its log-probs are off by 0.0015 (bound 0.001)"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pass_in_float64_is_that_of_a_model_in_float64(family: str, dtype: torch.dtype) -> None:
    model = tiny_model(family).to(dtype).eval()
    stored = {name: (id(weight), weight.clone()) for name, weight in model.named_parameters()}
    ids = torch.tensor([[3, 4, 5, 6, 7, 8]])
    with torch.no_grad(), in_float64(model):
        logits = model(ids).logits
        with pytest.raises(IndexError):  # and a pass that fails leaves nothing behind
            model(torch.tensor([[10**6]]))
    assert logits.dtype == torch.float64
    for name, weight in model.named_parameters():
        assert (id(weight), weight.dtype) == (stored[name][0], dtype)
        assert torch.equal(weight, stored[name][1])
    with torch.no_grad():
        expected = model.double()(ids).logits
    assert (logits - expected).abs().max() <= 1e-9


def test_passes_in_float64_take_an_adapter_and_no_quantised_weights() -> None:
    model = get_peft_model(tiny_model(), LoraConfig(target_modules=["q_proj", "lm_head"]))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad(), in_float64(model):
        logits = model(ids).logits
    with torch.no_grad():
        # An adapter narrows its own input.
        assert (logits - model.double()(ids).logits).abs().max() <= 1e-6
    model.quantised = torch.nn.Parameter(torch.zeros(1, dtype=torch.int8), requires_grad=False)
    with pytest.raises(TypeError, match="quantised"), in_float64(model):
        pass


@pytest.mark.parametrize("family", ["llama", "gemma2"])  # the second caps its logits
@pytest.mark.parametrize("padding_free", [True, False])
def test_gaps_are_those_of_the_models_own_logits(family: str, padding_free: bool) -> None:
    """Between the two likeliest tokens, from the hidden states that a forward pass has kept."""
    model = tiny_model(family)
    vocabulary = model.config.vocab_size - 3
    scorer = Scorer(model, Layout(padding_free, logits_chunk_size=2, vocabulary=vocabulary))
    rows = [ScoredSequence((3, 4), (5, 6, 7), (0,)), ScoredSequence((3,), (8, 9), (1,))]
    with torch.no_grad(), scorer.attached():
        (batch,) = scorer.cut(rows)
        states_BTH = scorer(batch, 0.7, states=True).states_BTH
    assert states_BTH is not None
    for index, row in enumerate(batch.rows):
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        with torch.no_grad():
            logits = model(ids).logits[0, len(row.prompt_ids) - 1 : -1, :vocabulary]
        best = (logits / 0.7).softmax(-1).sort(-1, descending=True).values
        found = scorer.gaps(states_BTH[index, : len(row.completion_ids)], 0.7)
        assert torch.allclose(found, best[:, 0] - best[:, 1], atol=1e-5)
    assert scorer.gaps(states_BTH[0, :0], 0.7).shape == (0,)
