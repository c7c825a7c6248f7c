"""Has an untrained model a signal as critic and as sneaky generator of `derivations`?

    python studies/spc_few_shot.py [HELD_OUT [PLACES [GAMES]]]

prints the held-out figures, the exploitability and one step's metrics of SmolLM2-135M-Instruct.
"""

from __future__ import annotations

import json
import sys
import tempfile

import torch

from rlsc import RLSCConfig, RLSCTrainer
from rlsc.environments.spc.environment import SPC
from rlsc.models import load_model


def main(held_out: int = 40, places: int = 2, games: int = 32) -> None:
    torch.manual_seed(0)
    model, tokenizer, _ = load_model(None)
    with tempfile.TemporaryDirectory() as folder:
        args = RLSCConfig(
            output_dir=folder,
            objective="trr",
            temperature=1.0,
            max_completion_length=24,
            max_steps=1,
            guard="off",
            bf16=False,
            disable_tqdm=True,
        )
        for game in (
            SPC(held_out=held_out, exploit_places=0),
            SPC(games=games),
            SPC(held_out=0, exploit_places=places),
        ):
            trainer = RLSCTrainer(
                model=model, args=args, processing_class=tokenizer, environment=game
            )
            if game.games == games and game.held_out and game.exploit_places:
                trainer.sampler.collect(game, 0, [])
                found = game.metrics()
                texts = [row.get("text", row.get("step_judged")) for row in game.records()[:6]]
                print(texts, flush=True)
            else:
                found = trainer.sampler.examine(game, trainer.progress.aside)
            print(json.dumps({k: round(v, 3) for k, v in found.items()}, indent=1), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
