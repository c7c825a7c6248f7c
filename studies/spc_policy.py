"""The untrained SmolLM2-135M-Instruct in a game of the critic's, for the studies of it."""

from __future__ import annotations

from pathlib import Path

from rlsc import RLSCConfig, RLSCTrainer
from rlsc.environments.spc.environment import SPC
from rlsc.models import load_model


def untrained(game: SPC, folder: str | Path, tokens: int) -> RLSCTrainer:
    """A trainer whose sampler plays `game`, at most `tokens` tokens a completion, temperature 1."""
    model, tokenizer, _ = load_model(None)
    args = RLSCConfig(
        output_dir=str(folder),
        objective="trr",
        temperature=1.0,
        max_completion_length=tokens,
        max_steps=1,
        guard="off",
        bf16=False,
        disable_tqdm=True,
    )
    return RLSCTrainer(model=model, args=args, processing_class=tokenizer, environment=game)
