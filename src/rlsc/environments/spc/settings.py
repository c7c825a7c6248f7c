"""What can be set of the game, by `--environment_settings`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from rlsc.config import setting
from rlsc.errors import ConfigError

_OF_THE_OTHER = {
    "derivations": ("samples", "text_steps"),
    "solutions": ("terms", "digits", "held_out", "exploit_places", "sft_places"),
}
"""By source the settings that only the other one reads."""


@dataclass
class SPCSettings:
    """Self-Play Critic, online, with one policy in both roles"""

    source: str = setting(
        "derivations",
        "Where problems and steps come from: derivations, sums whose steps arithmetic judges; "
        "solutions, the solver's answers to --questions, judged by samples and reference answers.",
        choices=("derivations", "solutions"),
    )
    games: int = setting(32, "Steps that are rewritten in a step of training.", least=2)
    critics: int = setting(2, "m: verdicts of each step.", least=1)
    terms: int = setting(5, "The most numbers of a sum; the fewest are 3.", least=3, most=9)
    digits: int = setting(2, "The most digits of a number of a sum.", least=1, most=6)
    train_roles: str = setting(
        "both", "Whose completions are trained on.", choices=("both", "sneaky", "critic")
    )
    roles: str = setting(
        "shared",
        "Who plays the two roles: shared, one policy; adapters, a LoRA adapter of its own for each "
        "on one base (--use_peft true), of which the critic's is evaluated and merged.",
        choices=("shared", "adapters"),
    )
    opponent: str = setting(
        "current",
        "Who plays the role that is not trained: current, the policy; base, the model before "
        "training; random, in place of the sneaky generator fixed random corruptions, a control.",
        choices=("current", "base", "random"),
    )
    untouched_share: float = setting(
        0.5,
        "λ, the share of right steps among the critic's: at another than 1/2 a constant "
        "verdict is paid, a control.",
        least=0.05,
        most=0.95,
    )
    reward: str = setting(
        "spc",
        "spc; random: a fair coin on the same completions, a control.",
        choices=("spc", "random"),
    )
    replay: int = setting(
        0, "How many of the newest wrong steps are kept, to be judged again later.", least=0
    )
    replay_share: float = setting(
        0.25, "With replay: kept steps that are judged again, as a share of games.", least=0, most=1
    )
    held_out: int = setting(
        50, "Fixed random corruptions of held-out sums, and as many right steps: examined.", least=0
    )
    exploit_places: int = setting(
        10, "Places of held-out sums of which every wrong step is examined.", least=0
    )
    sft_places: int = setting(
        250,
        "Places that its own supervised start (sft_rows environment) is of: of each a rewritten "
        "step, a right one judged and a wrong one judged.",
        least=1,
    )
    sneaky_tokens: int = setting(0, "Most tokens of a step; 0: as a completion's.", least=0)
    critic_tokens: int = setting(0, "Most tokens of a verdict; 0: as a completion's.", least=0)

    samples: int = setting(
        4, "Of solutions: N, completions from a step that say whether it is right.", least=1
    )
    solver: str = setting(
        "current",
        "Of solutions: who solves and completes: the policy, or the model before training.",
        choices=("current", "base"),
    )
    text_steps: str = setting(
        "paragraph", "Of solutions: what a step is.", choices=("paragraph", "line")
    )

    @property
    def trains(self) -> tuple[str, ...]:
        """The roles that are trained."""
        return ("sneaky", "critic") if self.train_roles == "both" else (self.train_roles,)


def check_spc(settings: SPCSettings) -> None:
    """Raise `ConfigError` for settings that cannot work together."""
    opponent, roles = settings.opponent, settings.train_roles
    if opponent != "current" and roles == "both":
        raise ConfigError(
            f"environment_settings: opponent={opponent} plays the role that is not trained: add "
            "train_roles=critic" + (" or train_roles=sneaky" if opponent == "base" else "")
        )
    if opponent == "random" and roles == "sneaky":
        raise ConfigError(
            "environment_settings: opponent=random takes the sneaky generator's place, and "
            "train_roles=sneaky trains it: there would be nothing to train on"
        )
    if settings.source == "solutions" and opponent == "random":
        raise ConfigError(
            "environment_settings: opponent=random corrupts sums: with source=solutions take "
            "opponent=base, or current"
        )
    if settings.source == "solutions" and settings.untouched_share > 0.5:
        raise ConfigError(
            "environment_settings: untouched_share above 0.5 takes more right steps than wrong "
            "ones, and with source=solutions there are no others: take 0.5 or less"
        )
    if settings.source == "derivations" and settings.solver == "base":
        raise ConfigError(
            "environment_settings: solver=base is of source=solutions: sums need no solver"
        )
    _check_effect(settings)
    if (
        settings.source == "solutions"
        and settings.roles == "adapters"
        and settings.solver != "base"
    ):
        raise ConfigError(
            "environment_settings: roles=adapters leaves nobody but the model before training to "
            "solve and complete: with source=solutions add solver=base"
        )
    if settings.replay and roles == "sneaky":
        raise ConfigError(
            "environment_settings: replay is for the critic, which train_roles=sneaky leaves as "
            "it is"
        )


def _check_effect(settings: SPCSettings) -> None:
    """Raise `ConfigError` for a setting that the source does not read."""
    defaults = {field.name: field.default for field in fields(SPCSettings)}
    for name in _OF_THE_OTHER[settings.source]:
        value = getattr(settings, name)
        if value != defaults[name]:
            other = next(source for source in _OF_THE_OTHER if source != settings.source)
            raise ConfigError(
                f"environment_settings: {name}={value} is of source={other} and does nothing with "
                f"source={settings.source}: leave it out"
            )
