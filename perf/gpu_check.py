"""Is this GPU served right, and how fast? Equality tests, then the rollout and step benchmarks.

    make gpu-check ARGS="--output_dir gpu-check --model NAME_OR_FOLDER"

It needs a CUDA GPU that torch sees, and no network: by default the model is the embedded
SmolLM2-135M-Instruct. It leaves gpu-check.md and gpu-check.json; the exit code is 1 where
something is not equal, 2 without a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from workers import machine
from workloads import CASES, STEPS

from rlsc.data import format_question, render, stop_token_ids
from rlsc.engines import SamplingParams, seed_for
from rlsc.engines.hf import HFEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.logprobs import Batch, Layout, Scorer, make_rows, pad
from rlsc.models import load_model
from rlsc.report.markdown import markdown_table
from rlsc.types import CompletionGroup, Question

# In bf16 a logit has 8 bits. A wrong mask or position is off by 1 nat a token, and by 1 and more.
BOUNDS = {"float32": {"log-probs": 1e-3, "gradient": 1e-3}}
BOUNDS["bfloat16"] = {"log-probs": 0.1, "gradient": 0.25}


@dataclass(frozen=True)
class Check:
    """Two ways to the same numbers. Log-probs: nats a token, in the mean; gradients: relative."""

    what: str
    dtype: str
    difference: float
    bound: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.bound


def main() -> None:
    args = _arguments()
    if args.device == "cuda" and not torch.cuda.is_available():
        print(
            f"gpu-check: torch {torch.__version__} sees no CUDA GPU: it needs one, its driver, and "
            "a build of torch for it (https://pytorch.org/get-started)",
            file=sys.stderr,
        )
        sys.exit(2)
    folder = Path(args.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device(args.device)
    rounds = str(args.rounds)
    checks = [
        check
        for dtype in (torch.float32, torch.bfloat16)
        for check in equality_checks(args.model, device, dtype, args.questions)
    ]
    name = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    report: dict[str, Any] = {
        "device": name,
        "machine": machine(),
        "torch": torch.__version__,
        "model": args.model or "SmolLM2-135M-Instruct",
        "equality": [asdict(check) | {"passed": check.passed} for check in checks],
        "rollout": [
            _bench("rollout.py", args, "--case", case, *_ROLLOUT, "--rounds", rounds)
            for case in args.rollout_cases
        ],
        "step": [
            _bench("step.py", args, "--case", case, *_STEP, "--steps", rounds)
            for case in args.step_cases
        ],
    }
    (folder / "gpu-check.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "gpu-check.md").write_text(markdown(report))
    print(markdown(report))
    sys.exit(0 if all(check.passed for check in checks) else 1)


_ROLLOUT = ("--dtype", "bf16", "--engines", "native,hf")
_STEP = ("--dtype", "bf16", "--peers", "plain,no_sharing,no_packing")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--output_dir", default="gpu-check")
    parser.add_argument("--model", help="Hub id or folder; by default the embedded SmolLM2-135M")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--questions", type=int, default=8, help="of the equality tests")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--rollout_cases", default="demo,words,long", help=f"of {', '.join(CASES)}")
    parser.add_argument("--step_cases", default="demo,words,vocab", help=f"of {', '.join(STEPS)}")
    args = parser.parse_args()
    for name, known in (("rollout_cases", CASES), ("step_cases", STEPS)):
        cases = [case for case in getattr(args, name).split(",") if case]
        for case in cases:
            if case not in known:
                parser.error(f"no case {case!r}: choose from {', '.join(known)}")
        setattr(args, name, cases)
    return args


def equality_checks(
    name: str | None, device: torch.device, dtype: torch.dtype, questions: int
) -> Iterator[Check]:
    """Engines against the training forward, and token trees against padded rows."""
    label = str(dtype).removeprefix("torch.")
    bounds = BOUNDS[label]
    model, tokenizer, _ = load_model(name, dtype)
    model = model.to(device).eval()
    prompts = [
        render(format_question(Question(str(index), text), tokenizer), str(index), tokenizer)
        for index, text in enumerate(CASES["words"].questions[:questions])
    ]
    params = SamplingParams(32, stop_token_ids(tokenizer, model), temperature=0.7)
    seeds = [seed_for("gpu-check", prompt.id) for prompt in prompts]
    scorers = {"padded": Scorer(model, Layout(padding_free=False)), "tree": Scorer(model, Layout())}
    with _exact_products():
        for kind in (NativeEngine, HFEngine):
            engine = kind(model, tokenizer, dtype)
            groups = engine.generate(prompts, 4, params, seeds)
            difference = _mean_difference(groups, scorers["padded"], params.temperature)
            what = f"log-probs of {kind.__name__} and of the training forward"
            yield Check(what, label, difference, bounds["log-probs"])
        engine = NativeEngine(model, tokenizer, dtype)
        groups = engine.generate(prompts, 4, params, seeds)
        again = engine.generate(prompts, 4, params, seeds)
        other = sum(
            first.completions != second.completions
            for first, second in zip(groups, again, strict=True)
        )
        yield Check("questions whose completions change when sampled again", label, other, 0.0)
        logps, gradients = zip(
            *(_scored(model, groups, scorers[layout]) for layout in ("padded", "tree")), strict=True
        )
        difference = (logps[0] - logps[1]).abs().mean().item()
        yield Check(
            "log-probs of token trees and of padded rows", label, difference, bounds["log-probs"]
        )
        difference = ((gradients[0] - gradients[1]).norm() / gradients[0].norm()).item()
        yield Check(
            "gradient of token trees and of padded rows", label, difference, bounds["gradient"]
        )


@contextmanager
def _exact_products() -> Iterator[None]:
    """Float32 without TF32, whose products have 10 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@torch.no_grad()
def _mean_difference(groups: list[CompletionGroup], scorer: Scorer, temperature: float) -> float:
    """Of the engine's and the forward's log-probs, in nats a token."""
    completions = [completion for group in groups for completion in group.completions]
    with scorer.attached():
        logps_BT = scorer(pad(make_rows(groups, merge_duplicates=False)), temperature).logps_BT
    differences = [
        (row[: len(completion.logps)].float().cpu() - torch.tensor(completion.logps)).abs()
        for row, completion in zip(logps_BT, completions, strict=True)
    ]
    return torch.cat(differences).mean().item()


def _scored(
    model: Any, groups: list[CompletionGroup], scorer: Scorer
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each completion's tokens' log-probs, end to end, and the gradient of their sum."""
    model.zero_grad()
    rows = make_rows(groups, merge_duplicates=False)
    logps: dict[int, torch.Tensor] = {}
    with scorer.attached():
        for batch in scorer.layout.cut(rows, 1024):
            logps_BT = scorer(batch, 1.0).logps_BT
            logps_BT.sum().backward()
            _note(batch, logps_BT, logps)
    gradient = torch.cat([p.grad.float().flatten() for p in model.parameters()])
    model.zero_grad()
    return torch.cat([logps[index] for index in sorted(logps)]), gradient


def _note(batch: Batch, logps_BT: torch.Tensor, logps: dict[int, torch.Tensor]) -> None:
    for row, logps_T in zip(batch.rows, logps_BT, strict=True):
        logps[row.members[0]] = logps_T[: len(row.completion_ids)].detach().float().cpu()


def _bench(script: str, args: argparse.Namespace, *flags: str) -> dict[str, Any]:
    """Run one of the benchmarks beside this file; its JSON."""
    file = Path(args.output_dir) / "bench.json"
    command = [sys.executable, str(Path(__file__).with_name(script)), *flags, "--json", str(file)]
    command += ["--model", args.model] if args.model else []
    print(" ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)
    report: dict[str, Any] = json.loads(file.read_text())
    file.unlink()
    return report


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    equal = [
        (
            *(check["what"], check["dtype"], f"{check['difference']:.2g}", f"{check['bound']:.2g}"),
            "yes" if check["passed"] else "**no**",
        )
        for check in report["equality"]
    ]
    rollouts = [
        (
            *(case["case"], result["engine"], f"{result['tokens_per_second']:,.0f}"),
            *(f"{result['share_of_bound']:.0%}", f"{result['peak_memory_gb']:.2f}"),
        )
        for case in report["rollout"]
        for result in case["results"]
    ]
    times = ("seconds_per_step", "sample_seconds", "update_seconds", "peak_memory_gb")
    steps = [
        (case["case"], result["system"], *(f"{result[name]:.2f}" for name in times))
        for case in report["step"]
        for result in case["results"]
    ]
    parts = [
        f"# GPU check: {report['device']}",
        f"{report['model']}, torch {report['torch']}, on {report['machine']}",
        markdown_table(("what", "dtype", "difference", "bound", "equal?"), equal),
        markdown_table(("rollout", "engine", "tokens/s", "of the bound", "peak GB"), rollouts),
        markdown_table(("step", "system", "s", "sampling", "update", "peak GB"), steps),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
