"""PPO's value head: what it regresses on, and that a step brings it nearer."""

from __future__ import annotations

import pytest
import torch

from rlsc.training.value_head import ValueHead

STATES = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
RETURNS = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
COUNTS = torch.tensor([[2, 2, 2, 2], [1, 1, 0, 0], [3, 0, 0, 0]])


def test_its_gradient_is_that_of_the_mean_squared_error() -> None:
    """Written out: ½ Σ n (u·h + c − R)², each token as often as it counts."""
    head = ValueHead(5, 0.01, torch.device("cpu"))
    for parameter in head._linear.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
    u = head._linear.weight[0].detach().clone().requires_grad_()
    c = head._linear.bias[0].detach().clone().requires_grad_()
    error = STATES @ u + c - RETURNS
    assert torch.allclose(head(STATES), (error + RETURNS).detach(), atol=1e-6)
    loss = 0.5 * (COUNTS * error**2).sum()
    loss.backward()
    for row in range(3):  # micro-batches
        head.accumulate(STATES[row : row + 1], RETURNS[row : row + 1], COUNTS[row : row + 1])
    assert torch.allclose(head._linear.weight.grad[0], u.grad, atol=1e-5)
    assert torch.allclose(head._linear.bias.grad[0], c.grad, atol=1e-5)
    assert head.step() == pytest.approx(loss.item() / 13, rel=1e-5)


def test_what_is_forgotten_has_no_part_in_the_step() -> None:
    once, twice = (ValueHead(5, 0.01, torch.device("cpu")) for _ in range(2))
    twice.accumulate(STATES + 1, RETURNS, COUNTS)
    twice.forget()
    for head in (once, twice):
        head.accumulate(STATES, RETURNS, COUNTS)
    assert once.step() == twice.step()
    assert torch.equal(once(STATES), twice(STATES))


def test_steps_bring_the_values_nearer_to_the_returns() -> None:
    head = ValueHead(5, 0.05, torch.device("cpu"))
    assert not head(STATES).any()
    losses = []
    for _ in range(60):
        head.accumulate(STATES, RETURNS, COUNTS)
        losses.append(head.step())
    assert losses[-1] < 0.5 * losses[0]
