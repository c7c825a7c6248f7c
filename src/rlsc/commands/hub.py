"""A tuned model for others: its model card, and the way to the Hub."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from rlsc.config import ObjectiveArguments
from rlsc.errors import ConfigError
from rlsc.objectives import registered
from rlsc.records import TrainingFolder, TrainingResults, read_results_of
from rlsc.report import (
    Block,
    Bullets,
    Heading,
    Page,
    Paragraph,
    Table,
    code_rows,
    guard_text,
    headline,
    results_blocks,
    to_markdown,
)

_SETTINGS = (  # the others are of the machine that trained, and not for the public
    *("objective", "weight", "alpha", "temperature", "logprob_temperature", "num_generations"),
    *("per_device_train_batch_size", "max_completion_length", "max_steps", "learning_rate", "beta"),
    *("guard", "template", "bf16", "fp16", "seed", "split_seed"),
)
_LIMITS = (
    "The training sharpens what the base already believes. Where its most probable answer is "
    "wrong, the tuned model is wrong with more confidence; it learns no new facts.",
    "Answers are less diverse than the base's: pass@k for large k may fall.",
    "The figures are for the questions, the prompt and the sampling named above, and for no "
    "others.",
)


def write_card(folder: Path) -> Path:
    """README.md of the run's `model/`, from its records. Overwrites one that is there."""
    file = folder / "model" / "README.md"
    file.write_text(str(model_card(TrainingFolder(folder))), "utf-8")
    return file


def model_card(folder: TrainingFolder) -> ModelCard:
    """Method, data, settings, the table with its intervals, limits, and the command."""
    results, config = read_results_of(TrainingResults, folder.path), folder.read_settings()
    settings = [(name, str(config[name])) for name in _SETTINGS if config.get(name) is not None]
    base, objective = config.get("model"), config.get("objective", ObjectiveArguments.objective)
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=base if base and not Path(base).exists() else None,
        tags=["rlsc", "label-free", "reinforcement-learning", objective],
    )
    blocks: list[Block] = [
        Paragraph(_method(results, str(objective))),
        Heading("What it came to"),
        headline(results),
        *results_blocks(results),
        Heading("Limits"),
        Bullets(_LIMITS),
        Heading("How it was made"),
        Table(("", ""), [*code_rows(folder.read_environment()), *settings], words=True),
    ]
    page = Page(config.get("hub_model_id") or folder.path.resolve().name, blocks)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{to_markdown(page)}")


def _method(results: TrainingResults, objective: str) -> str:
    on = f"{results.training_questions} questions of {results.questions}"
    if not results.training_questions:  # of a game
        on = f"tasks of the environment {results.questions}"
    text = (
        f"{results.model.rstrip('.')}, trained for {results.steps} steps by `{objective}` on {on}"
    )
    kind = registered(objective)
    if kind is not None and kind.on_a_card:
        text += f", {kind.on_a_card}"
    return f"{text}. {guard_text(results)}".rstrip()


def check_push(config: Any) -> None:
    """Raise `ConfigError` for a push that could not be: before hours of training, not after."""
    if not config.hub_model_id:
        raise ConfigError("--push_to_hub needs --hub_model_id NAME, as you/my-model")
    try:
        HfApi(token=config.hub_token).whoami()
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"--push_to_hub: the Hub does not let you in ({reason:.200}): hf auth login, or "
            "--hub_token"
        ) from error


def push(folder: Path, config: Any) -> str:
    """Upload the tuned model with its card, and nothing else of the run; its address.

    Raises `ConfigError` with the command that does it later: the model is on the disk.
    """
    name, model = config.hub_model_id, folder / "model"
    api = HfApi(token=config.hub_token)
    try:
        private = config.hub_private_repo
        url = api.create_repo(name, private=private, exist_ok=True, repo_type="model")
        api.upload_folder(
            repo_id=url.repo_id,
            folder_path=model,
            commit_message="Trained by rlsc",
            revision=config.hub_revision,
        )
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        later = shlex.join(["hf", "upload", name, str(model)])
        raise ConfigError(f"not pushed ({reason:.200}); later: {later}") from error
    return str(url)
