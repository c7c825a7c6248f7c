"""What can be set of an evaluation: that of `rlsc train`, and `rlsc eval` (`EvalConfig`)."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from rlsc.config.engine import EngineArguments, check_engine
from rlsc.config.fields import check_settings, setting
from rlsc.config.shared import (
    ChatTemplateArguments,
    FolderArguments,
    ModelArguments,
    PromptArguments,
    SandboxArguments,
    check_chat_template_kwargs,
    check_folder_flags,
    check_model,
    check_output_dir,
    check_template,
)
from rlsc.config.training import NucleusArguments
from rlsc.errors import ConfigError

MOST_SHOTS = 4
_LIMIT_HELP = "The first N questions of each benchmark; 0: all."


@dataclass
class EvaluationArguments:
    """Evaluation before, between and after"""

    eval: str = setting(
        "auto",
        "none, or auto: --eval_questions, else held-out built-in questions, else the training "
        "questions (marked transductive).",
        choices=("auto", "none"),
    )
    eval_questions: str | None = setting(None, "Questions to evaluate on, as --questions.")
    eval_limit: int = setting(50, "The first N evaluation questions; 0: all.", least=0)
    eval_samples: int = setting(
        4, "Samples of a question, at temperature 1 and at training's; 0: greedy alone.", least=0
    )
    eval_max_new_tokens: int | None = setting(None, "Cap; else max_completion_length.", least=1)
    eval_baselines: bool = setting(
        False,
        "Also show the untrained model in other ways: at its best of a grid of prompts, caps and "
        "temperatures where there are validation questions to choose it on (two-digit sums), else "
        "with a longer cap and a terse prompt.",
    )
    validation_questions: str | None = setting(
        None,
        "Questions with answers, as --questions, that nothing else uses: of every template, a "
        "quarter, half and all of the cap, and temperatures 0, 0.5 and 1 (eight samples) the "
        "untrained model's best is chosen on them. Needs --eval_baselines true.",
    )
    eval_seed: int | None = setting(None, "Seed of its samples; by default seed.", least=0)
    base_evaluation: str | None = setting(
        None,
        "Folder of another run: its evaluation of the untrained model is taken over where model, "
        "questions and settings are the same; where not, a line says so and it is asked again.",
    )


@dataclass
class BenchmarkSource:
    """Benchmarks"""

    benchmarks: str | None = setting(
        None,
        "Comma list of benchmarks, all for the eight, data files and tasks of your own "
        "(FILE.py:Class); rlsc train evaluates on them before and after.",
        joined=True,
    )
    data_dir: str | None = setting(
        None, "Folder with the benchmarks as JSONL; without it they come from the Hub."
    )
    controls: bool = setting(
        False, "Also every template at temperatures 0, 0.5, 0.7 and 1: the model at its best."
    )


@dataclass
class BenchmarkArguments(BenchmarkSource):
    """Benchmarks"""

    benchmark_template: str | None = setting(None, "Their template, else that of training.")
    benchmark_samples: int = setting(1, "Samples of a benchmark's question.", least=1)
    benchmark_temperature: float = setting(0.0, "Their temperature; 0 is greedy.", least=0)
    benchmark_limit: int = setting(0, _LIMIT_HELP, least=0)


@dataclass
class CriticArguments:
    """A critic of steps"""

    critic: str | None = setting(
        None,
        "Hub id, folder or FILE.gguf of a model that judges each step of the answers, one that it "
        "objects to being sampled anew: shown beside a majority at equal tokens.",
    )
    critic_steps: str = setting(
        "auto",
        "What a step is: sums (a line, of built-in sums, asked to be worked out), paragraph or "
        "line of the answer in --template; auto: sums where all questions are, else paragraph.",
        choices=("auto", "sums", "paragraph", "line"),
    )
    critic_tries: int = setting(
        5, "Most samples of a step; the last is kept unseen.", least=2, most=100
    )
    critic_threshold: float = setting(
        0.5, "A step is kept at this probability of Correct, or more.", above=0, most=1
    )
    critic_temperature: float = setting(
        1.0, "The solver's, under a critic and for the majority.", above=0
    )
    critic_samples: int = setting(
        1, "Answers a question under a critic; of several the majority counts.", least=1, most=1000
    )
    critic_step_tokens: int = setting(
        256, "Most tokens of a step; what is longer is judged in parts.", least=1
    )


@dataclass
class EvalConfig(
    ModelArguments,
    BenchmarkSource,
    CriticArguments,
    PromptArguments,
    ChatTemplateArguments,
    NucleusArguments,
    EngineArguments,
    SandboxArguments,
    FolderArguments,
):
    """The evaluation"""

    dtype: str = setting(
        "auto",
        "Of the weights; auto: bfloat16 where the device has it. float16 is for CUDA.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    shots: int = setting(4, "Exemplars of the few-shot template.", least=1, most=MOST_SHOTS)
    samples: int = setting(1, "Samples of a question, k.", least=1, most=10_000)
    temperature: float = setting(0.0, "Sampling temperature; 0 is greedy.", least=0)
    max_new_tokens: int = setting(1024, "Most tokens of an answer.", least=1)
    limit: int = setting(0, _LIMIT_HELP, least=0)
    compare_to: str | None = setting(None, "Folder of a baseline, for paired differences.")
    trained_on: str | None = setting(None, "The training questions: shows overlap.")
    seed: int = setting(0, "Seed of the samples.", least=0)
    rollout_batch_size: int = setting(
        128, "Decoded at once; a block is four times as many.", least=1
    )
    output_dir: str = setting("runs/eval", "Folder of the evaluation.")

    def __post_init__(self) -> None:
        check_settings(self)
        check_model(self)
        self.output_dir = os.path.expanduser(self.output_dir)
        check_engine(self)
        check_template(self.template)
        check_chat_template_kwargs(self.chat_template_kwargs)
        check_output_dir(self.output_dir)
        check_sampling(self.samples, self.temperature)
        check_critic(self)
        check_folder_flags(self)


def check_critic(config: CriticArguments) -> None:
    """Raise `ConfigError` for an empty name, and for a critic's settings without one."""
    if config.critic is not None:
        if not config.critic.strip():
            raise ConfigError("critic is empty: name a model, or leave it out")
        return
    for declared in fields(CriticArguments):
        if getattr(config, declared.name) != declared.default:
            raise ConfigError(f"{declared.name} is of a critic: name one with --critic")


def check_sampling(samples: int, temperature: float, prefix: str = "") -> None:
    if temperature == 0 and samples > 1:
        raise ConfigError(
            f"{prefix}samples {samples} at {prefix}temperature 0: greedy answers are all alike; "
            f"give {prefix}temperature above 0, as 0.5, or one sample"
        )
