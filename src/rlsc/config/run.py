"""What can be set of `rlsc train` (`RunConfig`) and of `rlsc plan`."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rlsc.config.environment import EnvironmentArguments
from rlsc.config.evaluation import BenchmarkArguments, EvaluationArguments, check_sampling
from rlsc.config.fields import check_settings, setting
from rlsc.config.shared import (
    FolderArguments,
    ModelArguments,
    PromptArguments,
    check_folder_flags,
    check_model,
    check_template,
)
from rlsc.errors import ConfigError


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
    lora_target_modules: str = setting(
        "all-linear", "all-linear, or layers between commas.", joined=True
    )

    merge_to: str | None = setting(
        None, "Also write base and adapter as one float32 model here, the base read anew."
    )

    @property
    def lora(self) -> tuple[int, int, str]:
        return self.lora_r, self.lora_alpha, self.lora_target_modules


@dataclass
class QuestionArguments:
    """Questions"""

    questions: str | None = setting(
        None,
        "File (.jsonl, .json, .csv, .tsv, .parquet, .txt, each also .gz), Hub data set, "
        "arithmetic[:two_digit|:three_terms], benchmark:NAME of --benchmarks.",
    )
    questions_split: str = setting("train", "Split of a Hub data set.")
    questions_config: str | None = setting(None, "Its configuration.")
    question_column: str | None = setting(
        None,
        "Column of the question, text or messages; by default the first of question, prompt, "
        "problem, messages that there is.",
    )
    answer_column: str | None = setting(None, "Column of the answer; by default answer, if any.")
    split_seed: int = setting(0, "Seed that splits built-in questions in train and held-out.")


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
        check_model(self)
        if self.system_prompt is not None and not self.system_prompt.isprintable():
            try:
                self.system_prompt.encode()
            except UnicodeEncodeError as error:
                raise ConfigError("system_prompt holds half a character") from error
        self._check_adapter()
        if self.validation_questions is not None and not self.eval_baselines:
            raise ConfigError("validation_questions are for --eval_baselines true: add it")
        if not self.use_peft and self.lora != AdapterArguments().lora:
            raise ConfigError("lora settings need --use_peft true: without it no adapter is made")
        if not self.lora_target_modules.strip(" ,"):
            raise ConfigError("lora_target_modules is empty: all-linear, or names of layers")
        check_template(self.template)
        if self.benchmark_template is not None:
            check_template(self.benchmark_template, "benchmark_template")
        check_sampling(self.benchmark_samples, self.benchmark_temperature, "benchmark_")
        check_folder_flags(self)

    def _check_adapter(self) -> None:
        """An adapter that is given is trained; its rank and layers are its own."""
        if self.adapter is not None:
            if self.lora != AdapterArguments().lora:
                raise ConfigError("lora settings are for a new adapter: leave them or adapter out")
            self.use_peft = True
        if self.load_in_4bit and not self.use_peft:
            raise ConfigError("load_in_4bit: such weights are not trained; add --use_peft true")
        if self.merge_to is not None and not self.use_peft:
            raise ConfigError("merge_to is of an adapter: add --use_peft true, or leave it out")


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
