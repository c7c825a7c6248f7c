"""Two adapters on one base: which computes, which has a gradient, what is trainable after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from peft import LoraConfig, PeftModel

from rlsc.models import RoleAdapters, adapter_off, with_adapter
from rlsc.models.adapters import activate_as
from tests.conftest import tiny_model

IDS = torch.tensor([[3, 4, 5, 6]])
LORA = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear", init_lora_weights=False)


@pytest.fixture(scope="module")
def model() -> PeftModel:
    """Adapters that change the tiny model a lot, each in its own way."""
    return with_adapter(tiny_model(), LORA, 5, ("critic", "sneaky"))


def of(model: torch.nn.Module, role: str) -> list[torch.nn.Parameter]:
    return [p for name, p in model.named_parameters() if f".{role}." in name]


def trained(model: torch.nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


@pytest.fixture(autouse=True)
def without_gradients(model: PeftModel) -> Iterator[None]:
    yield
    model.zero_grad(set_to_none=True)


def test_each_role_computes_with_its_own(model: PeftModel) -> None:
    roles = RoleAdapters(model, ("critic", "sneaky"))
    plain = logits(tiny_model())
    found = {}
    for role in roles.roles:
        with roles.active(role):
            found[role] = logits(model)
        alone = with_adapter(tiny_model(), LORA, 0, (role,))
        with torch.no_grad():
            for own, given in zip(of(alone, role), of(model, role), strict=True):
                own.copy_(given)
        assert torch.equal(found[role], logits(alone))
    assert (found["critic"] - found["sneaky"]).abs().max() > 0.1
    assert torch.equal(logits(model), found["critic"])  # the first one in between
    with adapter_off(model):
        assert torch.equal(logits(model), plain)


def test_the_other_adapter_has_no_gradient_at_all(model: PeftModel) -> None:
    roles = RoleAdapters(model, ("critic", "sneaky"))
    for role, other in (("critic", "sneaky"), ("sneaky", "critic")):
        with roles.active(role):
            model(IDS).logits.square().sum().backward()
        assert all(p.grad is not None for p in of(model, role))
        assert any(p.grad.any() for p in of(model, role) if p.grad is not None)
        assert all(p.grad is None for p in of(model, other))
        model.zero_grad(set_to_none=True)


def test_all_stay_trainable_in_between(model: PeftModel) -> None:
    """Else an optimizer made then, or a snapshot of what is trained, would have one alone."""
    roles = RoleAdapters(model, ("critic", "sneaky"))
    names = {name for name, _ in model.named_parameters() if ".lora_" in name}
    assert trained(model) == names
    with roles.active("sneaky"):
        assert trained(model) == {name for name in names if ".sneaky." in name}
        with adapter_off(model):
            logits(model)
        assert trained(model) == {name for name in names if ".sneaky." in name}
    assert trained(model) == names
    with adapter_off(model):
        assert trained(model) == set()
    assert trained(model) == names
    model.set_adapter("sneaky")  # as a checkpoint that is read does
    roles.restore()
    assert trained(model) == names
    assert model.active_adapter == "critic"


def test_without_roles_nothing_is_touched() -> None:
    plain = tiny_model()
    roles = RoleAdapters(plain, ())
    with roles.active(""):
        roles.restore()
    single = with_adapter(tiny_model(), LORA, 5)
    assert single.active_adapter == "default"


def test_a_copy_samples_with_the_same_adapter(model: PeftModel) -> None:
    import copy

    roles, copied = RoleAdapters(model, ("critic", "sneaky")), copy.deepcopy(model)
    copied.requires_grad_(False)
    with roles.active("sneaky"):
        activate_as(copied, model)
        assert torch.equal(logits(copied), logits(model))
    assert not trained(copied)
    activate_as(copied, model)
    assert torch.equal(logits(copied), logits(model))
    activate_as(tiny_model(), tiny_model())  # without adapters


def test_first_values_are_of_the_seed_and_differ(model: PeftModel) -> None:
    again = with_adapter(tiny_model(), LORA, 5, ("critic", "sneaky"))
    for role in ("critic", "sneaky"):
        pairs = zip(of(again, role), of(model, role), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    pairs = zip(of(model, "critic"), of(model, "sneaky"), strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs)
