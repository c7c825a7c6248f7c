"""PPO's value: a linear head on the policy's last hidden states, with an optimizer of its own."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rlsc.logprobs import Batch, TokenStats
from rlsc.runtime import summed

_FILE = "value_head.pt"


class ValueHead:
    """V(x, y_<t) = u · h_t + c. Starts at 0; the states' gradient is cut off.

    `accumulate` adds a micro-batch's squared errors, `step` takes an AdamW step on their mean.
    """

    def __init__(self, hidden_size: int, learning_rate: float, device: torch.device) -> None:
        self._linear = torch.nn.Linear(hidden_size, 1, device=device)
        torch.nn.init.zeros_(self._linear.weight)
        torch.nn.init.zeros_(self._linear.bias)
        self._optimizer = torch.optim.AdamW(self._linear.parameters(), lr=learning_rate)
        self._tokens, self._loss = 0.0, 0.0

    @torch.no_grad()
    def __call__(self, states_BTH: Tensor) -> Tensor:
        """Values, [B, T]."""
        return self._values(states_BTH)

    def _values(self, states_BTH: Tensor) -> Tensor:
        values_BT: Tensor = self._linear(states_BTH.float())[..., 0]
        return values_BT

    def learn(self, batch: Batch, stats: TokenStats, returns_NT: Tensor) -> None:
        """Show it a micro-batch's states and what they came to, as often as each row counts."""
        if stats.states_BTH is None:
            raise ValueError("a value is learnt of hidden states: score with states=True")
        mask_BT = batch.completion_mask_BT.cpu()
        first_B = torch.tensor([row.members[0] for row in batch.rows])
        returns_BT = returns_NT[first_B, : mask_BT.shape[1]]
        self.accumulate(stats.states_BTH, returns_BT, mask_BT * batch.counts_B[:, None])

    def accumulate(self, states_BTH: Tensor, returns_BT: Tensor, counts_BT: Tensor) -> None:
        """Add ½ (V − return)² of each token, times how often it counts: 0 outside."""
        with torch.enable_grad():
            values_BT = self._values(states_BTH)
            error_BT = values_BT - returns_BT.to(values_BT)
            counted_BT = counts_BT.to(values_BT)
            loss = 0.5 * (counted_BT * error_BT.square()).sum()
            loss.backward()
        self._tokens += float(counts_BT.sum())
        self._loss += loss.item()

    def forget(self) -> None:
        """What was added since the last step."""
        self._optimizer.zero_grad()
        self._tokens, self._loss = 0.0, 0.0

    def step(self) -> float:
        """The mean squared error's half, before the step."""
        device = self._linear.weight.device
        both = torch.tensor([self._tokens, self._loss], dtype=torch.float64, device=device)
        both = summed(both)
        tokens, loss = max(both[0].item(), 1.0), both[1].item()
        for parameter in self._linear.parameters():
            if parameter.grad is None:  # no completions here, but perhaps on other processes
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad = summed(parameter.grad) / tokens
        self._optimizer.step()
        self.forget()
        return loss / tokens

    def save(self, folder: Path) -> None:
        """Write head and optimizer into a checkpoint's folder."""
        state = {"head": self._linear.state_dict(), "optimizer": self._optimizer.state_dict()}
        torch.save(state, folder / _FILE)

    def load(self, folder: Path) -> None:
        """Read them back. Raises `FileNotFoundError` where the checkpoint has none."""
        state = torch.load(folder / _FILE, weights_only=True)
        self._linear.load_state_dict(state["head"])
        self._optimizer.load_state_dict(state["optimizer"])
