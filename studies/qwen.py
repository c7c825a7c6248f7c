"""The study of Qwen2.5-Coder-0.5B-Instruct in one go, on a GPU or on CPUs; offline.

    python studies/qwen.py --model FILE.gguf|FOLDER --data_dir FOLDER [--minutes 10]

It runs recipes/study-qwen-0.5b.yaml: the untrained model, then run by run in the recipe's order.
Once `--minutes` are over no further run is begun; the same command goes on where it stopped, or was
killed. At the end it prints what each run took.

A GGUF file is read once, into a folder beside `--output_dir`. Its input embedding and its head may
be of two precisions though the model ties them: the head's values are taken for both.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).parents[1] / "recipes" / "study-qwen-0.5b.yaml"
MOST_APART = 0.25
"""Of embedding and head, as |E - H| / |H|: 4-bit values are 0.1 off, two matrices 1 or more."""
# What changes the time and the memory, not the result: a GPU has room for more at once.
ON_A_GPU = {"tokens_per_microbatch": 16384, "rollout_batch_size": 512}


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every run that was begun is done, 1 when one has failed, 2 for bad input."""
    args = _arguments(argv)
    from rlsc.errors import RLSCError

    output = Path(args.output_dir).expanduser()
    try:
        settings: dict[str, Any] = {"output_dir": str(output), "minutes": args.minutes}
        if args.data_dir is not None:
            settings["data_dir"] = args.data_dir
        settings["model"] = str(model_folder(Path(args.model).expanduser(), output))
        if _has_gpu():
            settings |= ON_A_GPU
        failed = _run(Path(args.recipe), settings)
    except RLSCError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    print(table(output))
    return 1 if failed else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="FILE.gguf, or a model folder")
    parser.add_argument("--data_dir", help="the benchmarks as JSONL; default: the recipe's")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--output_dir", default="runs/study-qwen")
    parser.add_argument("--recipe", default=str(RECIPE))
    return parser.parse_args(argv)


def _run(recipe: Path, settings: Mapping[str, Any]) -> bool:
    """One comparison of all methods; whether any run has failed."""
    import rlsc
    from rlsc.errors import FailedRunsError

    try:
        rlsc.compare(recipe, **settings)
    except FailedRunsError as error:
        print(error)
        return True
    return False


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


# The model.


def model_folder(model: Path, output: Path) -> Path:
    """A folder as it is; of a GGUF file the folder that it is read into, once.

    Its name has the hash of the file's content. Raises `RLSCError` for one that is not there,
    damaged, or of an untied model.
    """
    from rlsc.errors import ConfigError, ModelError, RLSCError

    if not model.exists():
        raise ConfigError(f"--model {model} is not there: a FILE.gguf or a model folder")
    if model.suffix != ".gguf":
        return model
    with model.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    folder = output.parent / f"{output.name}-model-{content[:12]}"
    if not (folder / "config.json").is_file():
        try:
            plain, tokenizer = read_tied(model)
        except RLSCError:
            raise
        except Exception as error:  # of gguf, transformers and tokenizers, which share no base
            raise ModelError(f"cannot read {model}: {type(error).__name__}: {error}") from error
        unfinished = folder.with_name(folder.name + "-unfinished")
        plain.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        unfinished.rename(folder)
    return folder


def read_tied(file: Path) -> tuple[Any, Any]:
    """The file's model in bfloat16 with one matrix for embedding and head: the head's values.

    Raises `ModelError` where the two are further apart than `MOST_APART`: a model that does not
    tie them.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from rlsc.errors import ModelError
    from rlsc.models.gguf import read_gguf

    untied, tokenizer = read_gguf(file, torch.float32)
    head = untied.get_output_embeddings().weight.detach()
    embedding = untied.get_input_embeddings().weight.detach()
    apart = float((embedding - head).norm() / head.norm())
    if not apart <= MOST_APART:
        raise ModelError(
            f"{file}: input embedding and head are two matrices ({100 * apart:.0f} % apart), and "
            "the study is of a model that ties them: name a model folder"
        )
    content = untied.config.to_dict() | {"tie_word_embeddings": True}
    plain = AutoModelForCausalLM.from_config(AutoConfig.for_model(**content), dtype=torch.float32)
    values = untied.state_dict()
    for name, weight in plain.state_dict().items():
        tied = weight.shape == head.shape and "embed" in name
        weight.copy_(head if tied else values[name])
    plain.tie_weights()
    return plain.to(torch.bfloat16), tokenizer


# What it took.


def table(output: Path) -> str:
    """A row for each run: minutes in all; tokens a second of sampling, and of the update.

    Minutes of evaluation are those since a run was last resumed; all else is of all its legs.
    """
    from rlsc.records import Legs, TrainingFolder, read_jsonl

    rows = [
        "| run | minutes | training | sampling with the guard's look and weighing, tokens/s "
        "| update, tokens/s | evaluation |"
    ]
    rows += ["|---|---|---|---|---|---|"]
    legs = Legs(output).seconds
    if "base" in legs:
        rows.append(f"| the untrained model | {legs['base'] / 60:.1f} | | | | |")
    for file in sorted(output.glob("*/seed-*/results.json")):
        folder = TrainingFolder(file.parent)
        results = folder.results()
        if results is None:
            continue
        steps = read_jsonl(folder.path / "metrics.jsonl")
        tokens = sum(_tokens(folder.path / "completions" / f"{n}.jsonl") for n in range(len(steps)))
        sampling = sum(step["sample_seconds"] for step in steps)
        update = sum(step["seconds"] for step in steps) - sampling
        spent = results.seconds
        evaluating = sum(spent[name] for name in spent if name.startswith("evaluate"))
        speeds = (tokens / max(sampling, 1e-9), tokens / max(update, 1e-9))
        name = f"{file.parent.parent.name}, {file.parent.name}"
        took = legs.get(f"{file.parent.parent.name}/{file.parent.name}", spent["total"])
        rows.append(
            f"| {name} | {took / 60:.1f} | {(sampling + update) / 60:.1f} "
            f"| {speeds[0]:,.0f} | {speeds[1]:,.0f} | {evaluating / 60:.1f} |"
        )
    return "\n".join(rows)


def _tokens(file: Path) -> int:
    from rlsc.records import read_jsonl

    if not file.is_file():
        return 0
    return sum(len(row["completion_token_ids"]) for row in read_jsonl(file))


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported
    sys.exit(main())
