"""Has an untrained model a signal as critic and as sneaky generator of `derivations`?

    python studies/spc_few_shot.py [HELD_OUT [PLACES [GAMES]]]

prints the held-out figures, the exploitability and one step's metrics of SmolLM2-135M-Instruct.
"""

from __future__ import annotations

import json
import sys
import tempfile

from spc_policy import untrained

from rlsc.environments.spc.environment import SPC


def main(held_out: int = 40, places: int = 2, games: int = 32) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _examined(SPC(held_out=held_out, exploit_places=0), folder)
        trainer = untrained(game := SPC(games=games), folder, TOKENS)
        trainer.sampler.collect(game, 0, [])
        print([row.get("text", row.get("step_judged")) for row in game.records()[:6]], flush=True)
        _show(game.metrics())
        _examined(SPC(held_out=0, exploit_places=places), folder)


TOKENS = 24


def _examined(game: SPC, folder: str) -> None:
    trainer = untrained(game, folder, TOKENS)
    _show(trainer.sampler.examine(game, trainer.progress.aside))


def _show(figures: dict[str, float]) -> None:
    rounded = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps(rounded, indent=1), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
