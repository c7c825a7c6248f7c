"""What can be set of objectives. Names are those of TRL where it has them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from rlsc.config.checks import at_least, one_of
from rlsc.errors import ConfigError

WEIGHTS = ("sequence", "length_normalized", "token", "group_softmax", "answer", "constant")
SHAPINGS = ("raw", "centred", "standardised", "leave_one_out", "plus_alpha")
LOSS_TYPES = ("grpo", "dr_grpo")
PAIRS = ("confidence", "majority", "given")


@dataclass
class ObjectiveArguments:
    """The objective and its settings. None: the objective's own value, as its file has it."""

    objective: str = field(
        default="rlsc",
        metadata={
            "help": "rlsc, ttrl, empo, self_certainty, token_entropy, sequence_entropy, "
            "entropy_loss, grpo, ppo, rlhf, dpo, kl; the controls constant, random, format_only, "
            "inverse_majority; module:name of your own; or several between commas, added up."
        },
    )
    objective_weights: str | None = field(
        default=None, metadata={"help": "Coefficients of several objectives, as 1,0.5."}
    )
    weight: str = field(
        default="sequence", metadata={"help": f"rlsc: one of {', '.join(WEIGHTS)}."}
    )
    alpha: float = field(
        default=0.1, metadata={"help": "rlsc: added to every weight (L2); 0 is L1."}
    )
    shaping: str | None = field(
        default=None,
        metadata={"help": f"From rewards to weights: one of {', '.join(SHAPINGS)}."},
    )
    loss_type: str | None = field(
        default=None,
        metadata={"help": "grpo: mean over a completion's tokens; dr_grpo: their sum."},
    )
    epsilon: float | None = field(default=None, metadata={"help": "Clip of the ratio, 0.2."})
    beta: float | None = field(
        default=None, metadata={"help": "Of a KL divergence to the model before training."}
    )
    num_iterations: int = field(
        default=1, metadata={"help": "Optimizer steps on the same completions."}
    )
    train_generations: int = field(
        default=0,
        metadata={
            "help": "Train on the first so many completions of a question; 0: all. All vote."
        },
    )
    vote_threshold: float | None = field(
        default=None, metadata={"help": "ttrl: least share of the majority for a reward."}
    )
    entropy_low: float | None = field(
        default=None, metadata={"help": "empo: least semantic entropy of a question, in nats."}
    )
    entropy_high: float | None = field(
        default=None, metadata={"help": "empo: highest semantic entropy of a question."}
    )
    dpo_beta: float | None = field(default=None, metadata={"help": "dpo: β, 0.1."})
    dpo_pairs: str | None = field(
        default=None, metadata={"help": f"dpo: pairs by one of {', '.join(PAIRS)}."}
    )
    gae_gamma: float | None = field(default=None, metadata={"help": "ppo: discount, 1."})
    gae_lambda: float | None = field(default=None, metadata={"help": "ppo: GAE's λ, 0.95."})
    value_learning_rate: float = field(
        default=1e-3, metadata={"help": "ppo: AdamW's rate for the value head."}
    )
    reward_model: str | None = field(
        default=None,
        metadata={"help": "rlhf, ppo: Hub id or folder of a sequence-classification model."},
    )


NO_SETTINGS_OF_OBJECTIVES = ("objective", "objective_weights", "train_generations")
OWN_SETTINGS = tuple(
    one.name
    for one in fields(ObjectiveArguments)
    if one.default is None and one.name not in NO_SETTINGS_OF_OBJECTIVES
)
"""Those that an objective takes if one of its fields has the name."""
_RANGES = {
    "epsilon": (0.0, 1.0),
    "beta": (0.0, math.inf),
    "vote_threshold": (0.0, 1.0),
    "entropy_low": (0.0, math.inf),
    "entropy_high": (0.0, math.inf),
    "dpo_beta": (0.0, math.inf),
    "gae_gamma": (0.0, 1.0),
    "gae_lambda": (0.0, 1.0),
}
_CHOICES = {"shaping": SHAPINGS, "loss_type": LOSS_TYPES, "dpo_pairs": PAIRS}


def check_objective(config: ObjectiveArguments, num_generations: int) -> None:
    """Raise `ConfigError` on the first setting that cannot work."""
    for name, (low, high) in _RANGES.items():
        value = getattr(config, name)
        endless = name != "entropy_high" and value == math.inf
        if value is not None and (endless or not low <= value <= high):
            raise ConfigError(f"{name} must be from {low:g} to {high:g}, not {value}")
    for name, allowed in _CHOICES.items():
        if getattr(config, name) is not None:
            one_of(name, getattr(config, name), allowed)
    if not (math.isfinite(config.alpha) and config.alpha >= 0):
        raise ConfigError(f"alpha must be 0 or more, not {config.alpha}")
    one_of("weight", config.weight, WEIGHTS)
    if config.weight == "constant" and config.alpha == 0:
        raise ConfigError("weight constant is alpha alone: alpha must be above 0")
    if config.weight == "answer" and num_generations < 2:
        raise ConfigError("weight answer compares siblings: num_generations must be 2 or more")
    if not (math.isfinite(config.value_learning_rate) and config.value_learning_rate >= 0):
        raise ConfigError(
            f"value_learning_rate must be 0 or more, not {config.value_learning_rate}"
        )
    names = [name.strip() for name in config.objective.split(",")]
    if config.weight != "sequence" and "rlsc" not in names:
        raise ConfigError(f"weight is a setting of rlsc, not of objective {config.objective}")
    if "dpo" in names and (config.train_generations or config.num_iterations > 1):
        raise ConfigError(
            "train_generations and num_iterations are not for dpo: a pair is two of all "
            "completions, and its weight is that of the policy as it is"
        )
    least, most = config.entropy_low, config.entropy_high
    if least is not None and most is not None and least > most:
        raise ConfigError(f"entropy_low {least} is above entropy_high {most}")
    if config.dpo_pairs == "given" and (names != ["dpo"] or num_generations != 2):
        raise ConfigError(
            "dpo_pairs given takes both completions from the data set: it needs objective dpo "
            "alone and num_generations 2"
        )
    at_least("num_iterations", config.num_iterations, 1)
    if not 0 <= config.train_generations <= num_generations:
        raise ConfigError(
            f"train_generations must be from 0 to num_generations ({num_generations}), "
            f"not {config.train_generations}"
        )
