"""What can be set of the game, by `--environment_settings`."""

from __future__ import annotations

from dataclasses import dataclass

from rlsc.config import setting
from rlsc.environments.azr.tasks import KINDS, Kind
from rlsc.errors import ConfigError

_SOLVED, _BOUNDARY = (0.0, -0.5), (-0.5, -1.0)


@dataclass
class AZRSettings:
    """Absolute Zero, with the paper's rewards and smaller numbers"""

    language: str = setting(
        "sums",
        "sums: programs of one addition, subtraction or product; python: any, in a sandbox.",
        choices=("sums", "python"),
    )
    kinds: str = setting("deduction+abduction", "Of deduction, abduction and induction.")
    batch: int = setting(8, "B: proposals and solutions of each kind in a step.", least=2)
    references: int = setting(2, "K: tasks shown to a proposer.", least=1)
    estimates: int = setting(
        4, "G: solutions of each new task, by which it is paid; the paper: 8.", least=2
    )
    inputs: int = setting(10, "Inputs of an induction task, half of them hidden.", least=2)
    digits: int = setting(2, "sums: the most digits of a proposed number.", least=1, most=6)
    format: str = setting(
        "fence",
        "python: how answers are framed; fence: blocks at the end, for instruct models; tags: a "
        "thought and an answer in tags, for base models.",
        choices=("fence", "tags"),
    )
    helpers: bool = setting(True, "python: whether a program may define more than f.")
    order: str = setting(
        "paper",
        "paper: this step's tasks are solved; code: those of the step before, in one wave with the "
        "proposals.",
        choices=("paper", "code"),
    )
    keep: str = setting(
        "all",
        "Which new tasks are kept: all; not_solved: not those always solved; learnable: those "
        "solved at times.",
        choices=("all", "not_solved", "learnable"),
    )
    buffer_size: int = setting(16384, "Most tasks kept of a kind; the oldest leave.", least=2)
    train_estimates: bool = setting(
        False, "Train on the estimate's solutions too; then older tasks alone are solved beside."
    )
    pool_by: str = setting(
        "kind",
        "Solutions are compared within their kind, or within their task (with train_estimates).",
        choices=("kind", "task"),
    )
    train_roles: str = setting(
        "both",
        "Which completions are trained on; solve leaves the proposer as it is: a control.",
        choices=("both", "propose", "solve"),
    )
    proposer: str = setting(
        "policy",
        "Who proposes: policy; uniform: tasks drawn from the grammar; none: the seeds alone. The "
        "last two are controls.",
        choices=("policy", "uniform", "none"),
    )
    reward: str = setting(
        "azr",
        "azr; random: a fair coin on the same completions; format: the format alone. The last two "
        "are controls.",
        choices=("azr", "random", "format"),
    )
    boundary_reward: float = setting(
        0.0, "Of a proposal that is always or never solved: 0 (paper) or -0.5 (code)."
    )
    invalid_reward: float = setting(
        -0.5, "Of a proposal that is no task: -0.5 (paper) or -1 (code)."
    )
    reject_duplicates: bool = setting(
        False, "A proposal that is there already is no task; else it is paid, and not kept twice."
    )
    seed_size: int = setting(64, "Tasks of a kind before the first step; the paper: 256.", least=2)
    seed_attempts: int = setting(
        0, "Most proposals until there are so many; 0: 20 for each task.", least=0
    )
    seeds: str = setting(
        "model",
        "Who makes them: the model, or uniform draws from the grammar.",
        choices=("model", "uniform"),
    )
    seed_tasks: str | None = setting(
        None, "A JSONL file of tasks in their place, such as another run's tasks.jsonl."
    )
    probe_tasks: int = setting(
        0, "Seeds of each kind that are held out of training, and examined.", least=0
    )
    propose_tokens: int = setting(0, "Most tokens of a proposal; 0: as a completion's.", least=0)
    solve_tokens: int = setting(0, "Most tokens of a solution; 0: as a completion's.", least=0)
    prompt_characters: int = setting(
        16_000, "The longest references are left out of a longer prompt.", least=1
    )

    sandbox: str | None = None
    """The run's `--sandbox`."""

    @property
    def played(self) -> tuple[Kind, ...]:
        """`kinds`, in their order."""
        return tuple(kind for kind in KINDS if kind in self.kinds.split("+"))

    @property
    def attempts(self) -> int:
        """Of seeding, for each kind of task."""
        return self.seed_attempts or 20 * (self.seed_size + self.probe_tasks)


def check_azr(settings: AZRSettings) -> None:
    """Raise `ConfigError` for settings that cannot work together."""
    named = settings.kinds.split("+")
    wrong = [name for name in named if name not in KINDS]
    if wrong or len(set(named)) < len(named):
        raise ConfigError(
            f"environment_settings: kinds must be some of {'+'.join(KINDS)}, not {settings.kinds!r}"
        )
    for name, allowed in (("boundary_reward", _SOLVED), ("invalid_reward", _BOUNDARY)):
        if getattr(settings, name) not in allowed:
            raise ConfigError(
                f"environment_settings: {name} must be {allowed[0]:g} or {allowed[1]:g}, "
                f"not {getattr(settings, name):g}"
            )
    if settings.order == "code" and settings.train_estimates:
        raise ConfigError(
            "environment_settings: order=code solves tasks before there are estimates: leave it or "
            "train_estimates out"
        )
    if settings.pool_by == "task" and not settings.train_estimates:
        raise ConfigError(
            "environment_settings: pool_by=task compares several solutions of a task: add "
            "train_estimates=true"
        )
    if settings.proposer != "policy" and settings.train_roles == "propose":
        raise ConfigError(
            f"environment_settings: proposer={settings.proposer} and train_roles=propose exclude "
            "each other: there would be nothing to train on"
        )
    if settings.buffer_size < settings.seed_size:
        raise ConfigError(
            f"environment_settings: seed_size {settings.seed_size} is more than buffer_size "
            f"{settings.buffer_size}"
        )
    _check_language(settings)
    if (
        settings.language == "sums"
        and "induction" in named
        and settings.inputs > 10**settings.digits
    ):
        raise ConfigError(
            f"environment_settings: there are no {settings.inputs} numbers of {settings.digits} "
            "digits: lower inputs, or raise digits"
        )
    if settings.seed_tasks is not None and settings.seeds != "model":
        raise ConfigError("environment_settings: seeds and seed_tasks exclude each other")


_OF_LANGUAGE = {"sums": ("digits",), "python": ("format", "helpers")}


def _check_language(settings: AZRSettings) -> None:
    """Settings of another language have no effect, and are refused."""
    if settings.language == "sums" and settings.sandbox is not None:
        raise ConfigError(
            f"sandbox {settings.sandbox}: language=sums runs no programs, and needs none; leave it "
            "out"
        )
    for language, names in _OF_LANGUAGE.items():
        for name in names if language != settings.language else ():
            value = getattr(settings, name)
            if value != getattr(AZRSettings, name):
                raise ConfigError(
                    f"environment_settings: {name}={value} is of language={language}, not "
                    f"{settings.language}: leave it out"
                )
    if settings.language != "python":
        return
    if "uniform" in (settings.seeds, settings.proposer):
        name = "seeds" if settings.seeds == "uniform" else "proposer"
        raise ConfigError(
            f"environment_settings: {name}=uniform draws from a grammar, which language=python has "
            "none of"
        )
    if settings.played == ("induction",) and settings.seed_tasks is None:
        raise ConfigError(
            "environment_settings: kinds=induction is of programs that deduction or abduction "
            "propose: add one of them, or seed_tasks=FILE"
        )
