"""A tuned model for others: its model card, and the way to the Hub."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from rlsc.errors import ConfigError
from rlsc.report.benchmarks import HEADER as SCORES
from rlsc.report.benchmarks import difference_text, marked, score_cells
from rlsc.report.guard import guard_text
from rlsc.report.table import HEADER, baseline_rows, caption, table_rows
from rlsc.report.text import markdown_code_rows, markdown_table

_SETTINGS = (
    *("objective", "weight", "alpha", "temperature", "logprob_temperature", "num_generations"),
    *("per_device_train_batch_size", "max_completion_length", "max_steps", "learning_rate", "beta"),
    *("guard", "template", "bf16", "seed", "split_seed"),
)
_LIMITS = """\
- The training sharpens what the base already believes. Where its most probable answer is wrong,
  the tuned model is wrong with more confidence; it learns no new facts.
- Answers are less diverse than the base's: pass@k for large k may fall.
- The figures are for the questions, the prompt and the sampling named above, and for no others."""


def write_card(folder: Path) -> Path:
    """README.md of the run's `model/`, from its records. Overwrites one that is there."""
    file = folder / "model" / "README.md"
    file.write_text(str(model_card(folder)), "utf-8")
    return file


def model_card(folder: Path) -> ModelCard:
    """Method, data, settings, the table with its intervals, limits, and the command."""
    results = json.loads((folder / "results.json").read_text("utf-8"))
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    environment = json.loads((folder / "environment.json").read_text("utf-8"))
    base = config.get("model")
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=base if base and not Path(base).exists() else None,
        tags=["rlsc", "label-free", "reinforcement-learning", config.get("objective", "rlsc")],
    )
    name = config.get("hub_model_id") or folder.resolve().name
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        _method(results, config),
        "## What it came to",
        *_figures(results),
        "## Limits",
        _LIMITS,
        "## How it was made",
        _made(config, environment),
    ]
    return ModelCard("\n\n".join(part for part in parts if part) + "\n")


def _method(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    objective = config.get("objective", "rlsc")
    model, steps = str(results["model"]).rstrip("."), results["steps"]
    text = (
        f"{model}, trained for {steps} steps by `{objective}` on "
        f"{results['training_questions']} questions of {results['questions']}"
    )
    if objective == "rlsc":
        text += (
            ", without labels: each sampled answer's log-likelihood is weighted by the model's own "
            "probability for it ([RLSC](https://arxiv.org/abs/2506.06395))"
        )
    guard = results.get("guard")
    told = f" {guard_text(results)}" if guard and guard["verdicts"] else ""
    return f"{text}.{told}"


def _figures(results: Mapping[str, Any]) -> list[str]:
    parts = []
    rows = table_rows(results)
    if rows:
        parts += [f"{caption(results)}.", markdown_table(HEADER, rows)]
    baselines = baseline_rows(results)
    if baselines:
        parts.append("The untrained model in other settings, the line to beat:")
        parts.append(markdown_table(("base", "accuracy", "mean length"), baselines))
    scores = [
        (f"{marked(name, one[key])}, {side}", *score_cells(one[key]))
        for name, one in results.get("benchmarks", {}).items()
        for side, key in (("base", "before"), ("tuned", "after"))
    ]
    if scores:
        parts.append(markdown_table(SCORES, scores))
        parts += [
            f"{name}: {difference_text(one['difference'])}."
            for name, one in results["benchmarks"].items()
        ]
    return parts or ["Not evaluated."]


def _made(config: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    settings = [(key, str(config[key])) for key in _SETTINGS if config.get(key) is not None]
    rows = [*markdown_code_rows(environment), *settings]
    return markdown_table(("", ""), [(name, " ".join(value.split())) for name, value in rows])


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
