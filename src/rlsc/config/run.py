"""What can be set of `rlsc train` (`RunConfig`), `rlsc plan` and `rlsc eval`."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field

from rlsc.config.checks import at_least, at_most, one_of, positive
from rlsc.config.engine import EngineArguments, check_engine
from rlsc.errors import ConfigError

MOST_SHOTS = 4
MOST_SAMPLES = 10_000
TEMPLATE_NAMES = ("auto", "chat", "qwen2.5-math", "evalchemy", "none", "few-shot")
_TEMPLATE_HELP = (
    "auto (chat where the tokenizer has a chat template, else none), chat, none, qwen2.5-math, "
    "evalchemy, few-shot, or your own .jinja file."
)
_DATA_DIR_HELP = "Folder with the benchmarks as JSONL; without it they come from the Hub."
_LIMIT_HELP = "The first N questions of each benchmark; 0: all."
_CONTROLS_HELP = "Also every template at temperatures 0, 0.5, 0.7 and 1: the model at its best."


@dataclass
class RunConfig:
    """Settings of `rlsc train` around the training itself: model, questions, evaluation."""

    model: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder; by default the embedded SmolLM2-135M-Instruct."},
    )
    model_dtype: str = field(
        default="float32",
        metadata={
            "help": "float32, or bfloat16 with an adapter: at 1e-5 most updates of bfloat16 "
            "weights are rounded away."
        },
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run model code that comes with the weights."}
    )
    use_peft: bool = field(
        default=False, metadata={"help": "Train a LoRA adapter instead of the weights."}
    )
    lora_r: int = field(default=16, metadata={"help": "Rank of the adapter."})
    lora_alpha: int = field(default=32, metadata={"help": "Its scale is alpha / r."})
    lora_target_modules: str = field(
        default="all-linear",
        metadata={"help": "Layers that it adapts: all-linear, or names between commas."},
    )
    questions: str | None = field(
        default=None,
        metadata={"help": "FILE.jsonl, Hub data set, arithmetic[:two_digit|:three_terms]."},
    )
    questions_split: str = field(default="train", metadata={"help": "Split of a Hub data set."})
    questions_config: str | None = field(default=None, metadata={"help": "Its configuration."})
    question_column: str = field(default="question", metadata={"help": "Column of the question."})
    answer_column: str = field(
        default="answer",
        metadata={"help": "Column of the answer: for evaluation, and objectives with labels."},
    )
    split_seed: int = field(
        default=0, metadata={"help": "Seed that splits built-in questions in train and held-out."}
    )
    template: str = field(default="auto", metadata={"help": _TEMPLATE_HELP})
    system_prompt: str | None = field(default=None, metadata={"help": "Chat system message."})
    guard_questions: str | None = field(
        default=None,
        metadata={
            "help": "Questions that the guard asks the policy, as --questions; by default "
            "held-out ones that are not evaluated on, else training questions."
        },
    )
    guard_pool_size: int = field(
        default=64,
        metadata={
            "help": "How many of them, the first ones, the untrained model answers; "
            "--guard_probe_size of these are asked later."
        },
    )
    eval: str = field(
        default="auto",
        metadata={
            "help": "none, or auto: --eval_questions, else held-out built-in questions, else the "
            "training questions (marked transductive)."
        },
    )
    eval_questions: str | None = field(
        default=None, metadata={"help": "Questions to evaluate on, as --questions."}
    )
    eval_limit: int = field(
        default=50,
        metadata={"help": "At most so many evaluation questions, the first ones; 0: all."},
    )
    eval_samples: int = field(default=4, metadata={"help": "Samples per question for pass@1."})
    eval_max_new_tokens: int | None = field(
        default=None, metadata={"help": "Cap of evaluation; by default max_completion_length."}
    )
    eval_baselines: bool = field(
        default=False,
        metadata={"help": "Also show the untrained model with a longer cap and a terse prompt."},
    )
    eval_seed: int | None = field(
        default=None, metadata={"help": "Seed of the evaluation's samples; by default seed."}
    )
    base_evaluation: str | None = field(
        default=None,
        metadata={
            "help": "Folder of another run: its evaluation of the untrained model is taken over "
            "where model, questions and settings are the same."
        },
    )
    benchmarks: str | None = field(
        default=None, metadata={"help": "Also evaluate on these before and after: see rlsc eval."}
    )
    data_dir: str | None = field(default=None, metadata={"help": _DATA_DIR_HELP})
    benchmark_template: str | None = field(
        default=None, metadata={"help": "Template of the benchmarks; by default that of training."}
    )
    benchmark_samples: int = field(default=1, metadata={"help": "Samples a benchmark question."})
    benchmark_temperature: float = field(
        default=0.0, metadata={"help": "Temperature of the benchmarks; 0 is greedy."}
    )
    benchmark_limit: int = field(default=0, metadata={"help": _LIMIT_HELP})
    controls: bool = field(default=False, metadata={"help": _CONTROLS_HELP})
    save_model: bool = field(
        default=True, metadata={"help": "Write the tuned model; false where figures are enough."}
    )
    resume: bool = field(default=False, metadata={"help": "Go on from the last checkpoint."})
    overwrite: bool = field(default=False, metadata={"help": "Replace the run in output_dir."})
    dry_run: bool = field(
        default=False,
        metadata={"help": "Check all input and show the plan; load no weights, write nothing."},
    )

    def __post_init__(self) -> None:
        if self.model is not None and not self.model.strip():
            raise ConfigError("model is empty: a Hub id or a folder, or leave it out")
        if self.system_prompt is not None and not self.system_prompt.isprintable():
            try:
                self.system_prompt.encode()
            except UnicodeEncodeError as error:
                raise ConfigError("system_prompt holds half a character") from error
        one_of("model_dtype", self.model_dtype, ("float32", "bfloat16"))
        at_least("lora_r", self.lora_r, 1)
        lora = (self.lora_r, self.lora_alpha, self.lora_target_modules)
        if not self.use_peft and lora != (16, 32, "all-linear"):
            raise ConfigError("lora settings need --use_peft true: without it no adapter is made")
        at_least("lora_alpha", self.lora_alpha, 1)
        if not self.lora_target_modules.strip(" ,"):
            raise ConfigError("lora_target_modules is empty: all-linear, or names of layers")
        check_template(self.template)
        if self.benchmark_template is not None:
            check_template(self.benchmark_template, "benchmark_template")
        one_of("eval", self.eval, ("auto", "none"))
        at_least("guard_pool_size", self.guard_pool_size, 1)
        at_least("eval_samples", self.eval_samples, 1)
        at_least("eval_limit", self.eval_limit, 0)
        if self.eval_seed is not None:
            at_least("eval_seed", self.eval_seed, 0)
        if self.eval_max_new_tokens is not None:
            at_least("eval_max_new_tokens", self.eval_max_new_tokens, 1)
        at_least("benchmark_samples", self.benchmark_samples, 1)
        at_least("benchmark_limit", self.benchmark_limit, 0)
        _check_sampling(self.benchmark_samples, self.benchmark_temperature, "benchmark_")
        _check_folder_flags(self.resume, self.overwrite)


@dataclass
class PlanConfig:
    """What `rlsc plan` is told beside the settings of `rlsc train`."""

    device_type: str | None = field(
        default=None, metadata={"help": "cpu or cuda; by default what this machine has."}
    )
    device_memory_gb: float | None = field(
        default=None, metadata={"help": "Of one device, 10⁹ bytes; by default this machine's."}
    )
    num_processes: int = field(
        default_factory=lambda: int(os.environ.get("WORLD_SIZE", "1")),
        metadata={"help": "Processes, a device each; by default WORLD_SIZE, else 1."},
    )
    sharded: bool = field(
        default=False,
        metadata={"help": "Weights, gradients and moments are divided over them (FSDP2)."},
    )
    prompt_length: int = field(
        default=256, metadata={"help": "Tokens of the longest prompt; --dry_run counts them."}
    )

    def __post_init__(self) -> None:
        if self.device_type is not None:
            one_of("device_type", self.device_type, ("cpu", "cuda"))
        if self.device_memory_gb is not None:
            positive("device_memory_gb", self.device_memory_gb)
        at_least("num_processes", self.num_processes, 1)
        at_least("prompt_length", self.prompt_length, 1)
        if self.sharded and self.num_processes == 1:
            raise ConfigError("sharded needs --num_processes 2 or more")


@dataclass
class EvalConfig(EngineArguments):
    """Settings of `rlsc eval`."""

    benchmarks: str | None = field(
        default=None, metadata={"help": "Comma list of benchmarks, or all for the eight."}
    )
    model: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder; by default the embedded SmolLM2-135M-Instruct."},
    )
    dtype: str = field(
        default="auto",
        metadata={"help": "float32, bfloat16, or auto: bfloat16 where the device has it."},
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run model code that comes with the weights."}
    )
    data_dir: str | None = field(default=None, metadata={"help": _DATA_DIR_HELP})
    template: str = field(default="auto", metadata={"help": _TEMPLATE_HELP})
    system_prompt: str | None = field(default=None, metadata={"help": "Chat system message."})
    shots: int = field(default=4, metadata={"help": "Exemplars of the few-shot template, 1 to 4."})
    samples: int = field(default=1, metadata={"help": "Samples per question, k."})
    temperature: float = field(default=0.0, metadata={"help": "0 is greedy decoding."})
    top_p: float = field(default=1.0, metadata={"help": "Nucleus sampling; 1 is off."})
    top_k: int = field(default=0, metadata={"help": "Top-k sampling; 0 is off."})
    max_new_tokens: int = field(default=1024, metadata={"help": "Cap on new tokens."})
    limit: int = field(default=0, metadata={"help": _LIMIT_HELP})
    controls: bool = field(default=False, metadata={"help": _CONTROLS_HELP})
    compare_to: str | None = field(
        default=None,
        metadata={"help": "Folder of another evaluation, the baseline: paired differences to it."},
    )
    trained_on: str | None = field(
        default=None,
        metadata={"help": "Questions the model was trained on, as --questions: flags overlap."},
    )
    seed: int = field(default=0, metadata={"help": "Seed of the samples."})
    rollout_batch_size: int = field(
        default=128, metadata={"help": "Completions decoded at once; four times as many a block."}
    )
    output_dir: str = field(default="runs/eval", metadata={"help": "Folder of the evaluation."})
    resume: bool = field(default=False, metadata={"help": "Go on where it stopped."})
    overwrite: bool = field(default=False, metadata={"help": "Replace what output_dir holds."})

    def __post_init__(self) -> None:
        one_of("dtype", self.dtype, ("auto", "float32", "bfloat16"))
        check_engine(self)
        check_template(self.template)
        for name in ("samples", "max_new_tokens", "shots"):
            at_least(name, getattr(self, name), 1)
        for name in ("limit", "top_k", "seed"):
            at_least(name, getattr(self, name), 0)
        at_most("samples", self.samples, MOST_SAMPLES)
        if self.shots > MOST_SHOTS:
            raise ConfigError(f"shots must be {MOST_SHOTS} or less, not {self.shots}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in (0, 1], not {self.top_p}; 1 turns it off")
        if not self.output_dir or "\0" in self.output_dir:
            raise ConfigError("output_dir is empty: name a folder")
        _check_sampling(self.samples, self.temperature)
        _check_folder_flags(self.resume, self.overwrite)


def check_template(name: str, setting: str = "template") -> None:
    """Raise `ConfigError` unless `name` is a template's or that of a `.jinja` file."""
    if name not in TEMPLATE_NAMES and not name.endswith((".jinja", ".jinja2", ".j2")):
        choices = ", ".join(TEMPLATE_NAMES)
        raise ConfigError(f"{setting} must be one of {choices}, or a .jinja file, not {name!r}")


def _check_sampling(samples: int, temperature: float, prefix: str = "") -> None:
    at_least(f"{prefix}temperature", temperature, 0.0)
    if not math.isfinite(temperature):
        raise ConfigError(f"{prefix}temperature must be a number, not {temperature}")
    if temperature == 0 and samples > 1:
        raise ConfigError(
            f"{prefix}samples {samples} at {prefix}temperature 0: greedy answers are all alike; "
            f"give {prefix}temperature above 0, as 0.5, or one sample"
        )


def _check_folder_flags(resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other: choose one")
