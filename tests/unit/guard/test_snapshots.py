"""Snapshots of several steps: to the bit, no more than there is room for, adapters alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from rlsc.errors import OutputError
from rlsc.guard.snapshots import Snapshots
from tests.conftest import tiny_model


def moved(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Other weights, and a copy of them."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for one in model.parameters():
            if one.requires_grad:
                one.normal_()
    return {name: one.detach().clone() for name, one in model.named_parameters()}


def same(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one, weights[name]) for name, one in model.named_parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_of_the_last_is_restored_to_the_bit(dtype: torch.dtype, tmp_path: Path) -> None:
    model, snapshots, weights = tiny_model().to(dtype), Snapshots(2), {}
    for step in (0, 2, 4):
        weights[step] = moved(model, step)
        snapshots.take(step, model)
    assert snapshots.steps == [2, 4]
    snapshots.save(tmp_path)
    loaded = Snapshots(2)
    loaded.load(tmp_path, [2, 4])
    for held in (snapshots, loaded):
        for step in (2, 4, 2):
            moved(model, 9)
            held.restore(step, model)
            assert same(model, weights[step])
        with pytest.raises(KeyError):
            held.restore(0, model)


def test_memory_is_that_of_so_many_policies() -> None:
    model, snapshots = tiny_model(), Snapshots(2)
    places = set()
    for step in range(6):
        snapshots.take(step, model)
        places |= {one.data_ptr() for kept in snapshots._kept.values() for one in kept.values()}
    assert len(places) == 2 * len(list(model.parameters()))


def test_of_an_adapter_it_alone_is_held() -> None:
    model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"]))
    weights = moved(model, 1)
    snapshots = Snapshots(2)
    snapshots.take(1, model)
    assert all("lora_" in name for name in snapshots._kept[1])
    moved(model, 2)
    snapshots.restore(1, model)
    assert same(model, weights)


def test_a_snapshot_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"guard-snapshot-3\.safetensors is missing or damaged"):
        Snapshots(2).load(tmp_path, [3])
