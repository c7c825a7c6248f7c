"""What `rlsc plan` expects of a run, against the peak that the run has.

    python perf/memory.py [--dtype bf16] --questions arithmetic --max_completion_length 48 …

All flags but `--dtype`, which is --bf16 and --fp16 in one, are those of `rlsc train`.

Two steps (AdamW's moments are there from the second on) in a fresh process, every completion as
long as the cap. Measured is the process's peak, looked at every 5 ms, above what it had before it
loaded the model and after a run of next to no size, which loads what is loaded late; on CUDA the
most memory that tensors had. What it takes to read the weights from their file is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from workers import MARK, Memory, add_dtype, never_stop, reply


def main() -> None:
    text = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(description=text, allow_abbrev=False)
    add_dtype(parser)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args, flags = parser.parse_known_args()
    if args.dtype != "auto":
        flags += [f"--{name}={str(name == args.dtype).lower()}" for name in ("bf16", "fp16")]
    if args.worker:
        reply(_measure(flags))
    else:
        print(json.dumps(measured(flags), indent=2))


def measured(flags: list[str]) -> dict[str, Any]:
    """Predicted and measured bytes of a run with these flags, and their ratio."""
    done = subprocess.run(
        [sys.executable, __file__, "--worker", *flags], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        sys.exit(f"the run failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(lines[0].removeprefix(MARK))
    return answer


def _measure(flags: list[str]) -> dict[str, Any]:
    import psutil
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from rlsc.data import render
    from rlsc.models import load_model
    from rlsc.models.loading import load_tokenizer
    from rlsc.planning import this_device
    from rlsc.planning.memory import footprint

    with tempfile.TemporaryDirectory() as folder:
        config, training = _settings(flags, f"{folder}/warm", 1)
        tokenizer = load_tokenizer(config.model)
        size = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
        warm = LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=1, **size)
        _trainer(LlamaForCausalLM(warm), tokenizer, config, training).train()
        config, training = _settings(flags, f"{folder}/run", 2)
        before = 0 if torch.cuda.is_available() else psutil.Process().memory_info().rss
        model, tokenizer, _ = load_model(config.model, getattr(torch, config.model_dtype))
        with Memory() as memory:
            trainer = _trainer(model, tokenizer, config, training)
            trainer.train()
    prompts = [render(row.prompt, row.id, tokenizer) for row in trainer.train_dataset]
    longest = max(len(prompt.token_ids) for prompt in prompts)
    plan = footprint(config, training, model.config, this_device(training), longest)
    peak = memory.peak - before
    return {
        "predicted": plan.peak,
        "measured": peak,
        "ratio": plan.peak / peak,
        "dtype": "bf16" if training.bf16 else "fp16" if training.fp16 else "fp32",
        "phases": plan.phases,
        "parts": {part.name: (part.start, part.sampling, part.update) for part in plan.parts},
    }


def _settings(flags: list[str], folder: str, steps: int) -> Any:
    from rlsc.commands.arguments import parse

    own = ["--guard=off", "--save_strategy=no", "--disable_tqdm=true", "--report_to=none"]
    return parse([*flags, *own, f"--output_dir={folder}", f"--max_steps={steps}"])


def _trainer(model: Any, tokenizer: Any, config: Any, training: Any) -> Any:
    from rlsc.commands.train import prompt_rows
    from rlsc.commands.train_evaluation import questions_of
    from rlsc.models import lora_config
    from rlsc.training import RLSCTrainer

    trainer = RLSCTrainer(
        model,
        training,
        prompt_rows(
            config, questions_of(config, config.questions, data_dir=config.data_dir), tokenizer
        ),
        tokenizer,
        peft_config=lora_config(model, *config.lora) if config.use_peft else None,
    )
    never_stop(trainer.engine)
    return trainer


if __name__ == "__main__":
    main()
