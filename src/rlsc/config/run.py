"""What can be set of `rlsc train` (`RunConfig`), `rlsc plan` and `rlsc eval`."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rlsc.config.engine import EngineArguments, check_engine
from rlsc.config.environment import EnvironmentArguments
from rlsc.config.fields import check_settings, setting
from rlsc.config.training import NucleusArguments
from rlsc.errors import ConfigError

MOST_SHOTS = 4
TEMPLATE_NAMES = ("auto", "chat", "qwen2.5-math", "evalchemy", "none", "few-shot")
_TEMPLATE_HELP = (
    "auto (chat where the tokenizer has a chat template, else none), chat, none, qwen2.5-math, "
    "evalchemy, few-shot, or your own .jinja file."
)
_LIMIT_HELP = "The first N questions of each benchmark; 0: all."


@dataclass
class ModelArguments:
    """The model"""

    model: str | None = setting(None, "Hub id or folder; else the embedded SmolLM2-135M-Instruct.")
    trust_remote_code: bool = setting(False, "Run model code that comes with the weights.")


@dataclass
class AdapterArguments:
    """Weights and adapter"""

    model_dtype: str = setting(
        "float32",
        "float32, or bfloat16 with an adapter: at 1e-5 most updates of bfloat16 weights are "
        "rounded away.",
        choices=("float32", "bfloat16"),
    )
    use_peft: bool = setting(False, "Train a LoRA adapter instead of the weights.")
    lora_r: int = setting(16, "Rank of the adapter.", least=1)
    lora_alpha: int = setting(32, "Its scale is alpha / r.", least=1)
    lora_target_modules: str = setting("all-linear", "all-linear, or layers between commas.")

    @property
    def lora(self) -> tuple[int, int, str]:
        return self.lora_r, self.lora_alpha, self.lora_target_modules


@dataclass
class QuestionArguments:
    """Questions"""

    questions: str | None = setting(
        None, "FILE.jsonl, Hub data set, arithmetic[:two_digit|:three_terms]."
    )
    questions_split: str = setting("train", "Split of a Hub data set.")
    questions_config: str | None = setting(None, "Its configuration.")
    question_column: str = setting("question", "Column of the question.")
    answer_column: str = setting("answer", "Column of the answer.")
    split_seed: int = setting(0, "Seed that splits built-in questions in train and held-out.")


@dataclass
class PromptArguments:
    """Prompts"""

    template: str = setting("auto", _TEMPLATE_HELP)
    system_prompt: str | None = setting(None, "Chat system message.")


@dataclass
class ProbeArguments:
    """The guard's questions"""

    guard_questions: str | None = setting(
        None,
        "Questions that the guard asks the policy, as --questions; by default held-out ones that "
        "are not evaluated on, else training questions.",
    )
    guard_pool_size: int = setting(
        64,
        "How many of them, the first ones, the untrained model answers; --guard_probe_size of "
        "these are asked later.",
        least=1,
    )


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
    eval_samples: int = setting(4, "Samples of a question for pass@1.", least=1)
    eval_max_new_tokens: int | None = setting(None, "Cap; else max_completion_length.", least=1)
    eval_baselines: bool = setting(
        False, "Also show the untrained model with a longer cap and a terse prompt."
    )
    eval_seed: int | None = setting(None, "Seed of its samples; by default seed.", least=0)
    base_evaluation: str | None = setting(
        None,
        "Folder of another run: its evaluation of the untrained model is taken over where model, "
        "questions and settings are the same.",
    )


@dataclass
class BenchmarkSource:
    """Benchmarks"""

    benchmarks: str | None = setting(
        None,
        "Comma list of benchmarks, all for the eight, data files and tasks of your own "
        "(FILE.py:Class); rlsc train evaluates on them before and after.",
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
class FolderArguments:
    """The run's folder"""

    resume: bool = setting(False, "Go on where the run in output_dir stopped.")
    overwrite: bool = setting(False, "Replace what output_dir holds.")


@dataclass
class RunFolderArguments(FolderArguments):
    """The run's folder"""

    save_model: bool = setting(True, "Write the tuned model; false where figures are enough.")
    dry_run: bool = setting(False, "Check all input, show the plan, write nothing.")


@dataclass
class RunConfig(
    ModelArguments,
    AdapterArguments,
    QuestionArguments,
    PromptArguments,
    EnvironmentArguments,
    ProbeArguments,
    EvaluationArguments,
    BenchmarkArguments,
    RunFolderArguments,
):
    """Settings of `rlsc train` around the training itself: model, questions, evaluation."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.model is not None and not self.model.strip():
            raise ConfigError("model is empty: a Hub id or a folder, or leave it out")
        if self.system_prompt is not None and not self.system_prompt.isprintable():
            try:
                self.system_prompt.encode()
            except UnicodeEncodeError as error:
                raise ConfigError("system_prompt holds half a character") from error
        if not self.use_peft and self.lora != (16, 32, "all-linear"):
            raise ConfigError("lora settings need --use_peft true: without it no adapter is made")
        if not self.lora_target_modules.strip(" ,"):
            raise ConfigError("lora_target_modules is empty: all-linear, or names of layers")
        check_template(self.template)
        if self.benchmark_template is not None:
            check_template(self.benchmark_template, "benchmark_template")
        _check_sampling(self.benchmark_samples, self.benchmark_temperature, "benchmark_")
        _check_folder_flags(self)


@dataclass
class PlanConfig:
    """The device that `rlsc plan` plans for"""

    device_type: str | None = setting(None, "By default this machine's.", choices=("cpu", "cuda"))
    device_memory_gb: float | None = setting(
        None, "Memory of one device, in 10⁹ bytes; by default this machine's.", above=0
    )
    num_processes: int = setting(
        lambda: int(os.environ.get("WORLD_SIZE", "1")),
        "Processes, a device each; by default WORLD_SIZE, else 1.",
        least=1,
    )
    sharded: bool = setting(False, "FSDP2 divides the weights over them.")
    prompt_length: int = setting(256, "Of the longest prompt; --dry_run counts it.", least=1)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.sharded and self.num_processes == 1:
            raise ConfigError("sharded needs --num_processes 2 or more")


@dataclass
class EvalConfig(
    ModelArguments,
    BenchmarkSource,
    PromptArguments,
    NucleusArguments,
    EngineArguments,
    FolderArguments,
):
    """The evaluation"""

    dtype: str = setting(
        "auto",
        "Of the weights; auto: bfloat16 where the device has it.",
        choices=("auto", "float32", "bfloat16"),
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
        check_engine(self)
        check_template(self.template)
        check_output_dir(self.output_dir)
        _check_sampling(self.samples, self.temperature)
        _check_folder_flags(self)


def check_template(name: str, setting: str = "template") -> None:
    """Raise `ConfigError` unless `name` is a template's or that of a `.jinja` file."""
    if name not in TEMPLATE_NAMES and not name.endswith((".jinja", ".jinja2", ".j2")):
        choices = ", ".join(TEMPLATE_NAMES)
        raise ConfigError(f"{setting} must be one of {choices}, or a .jinja file, not {name!r}")


def check_output_dir(name: str) -> None:
    """Raise `ConfigError` for a folder without a name."""
    if not name or "\0" in name:
        raise ConfigError("output_dir is empty: name a folder")


def _check_sampling(samples: int, temperature: float, prefix: str = "") -> None:
    if temperature == 0 and samples > 1:
        raise ConfigError(
            f"{prefix}samples {samples} at {prefix}temperature 0: greedy answers are all alike; "
            f"give {prefix}temperature above 0, as 0.5, or one sample"
        )


def _check_folder_flags(config: FolderArguments) -> None:
    if config.resume and config.overwrite:
        raise ConfigError("resume and overwrite exclude each other: choose one")
