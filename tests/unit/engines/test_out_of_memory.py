"""Where memory runs out in a self-check, no other engine or layout takes the place in silence."""

from __future__ import annotations

import pytest
import torch

from rlsc.engines.native.engine import NativeEngine
from rlsc.logprobs import support
from rlsc.runtime import is_out_of_memory
from tests.conftest import tiny_model, tiny_tokenizer


def test_what_counts() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_what_onednn_says_counts_but_not_what_it_does_not_support() -> None:
    """Where a process's memory is bounded, a product of a real run ended with the first."""
    for said in ("could not create a primitive", "could not create a memory object"):
        assert is_out_of_memory(RuntimeError(said))
    said = "could not create a primitive descriptor for the matmul primitive"
    assert not is_out_of_memory(RuntimeError(said))


def test_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(NativeEngine, "generate", full)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        NativeEngine(tiny_model(), tiny_tokenizer(), torch.float32)


def test_of_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(support, "score_tree", full)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        support.supported_layout(tiny_model(), support.Layout())
