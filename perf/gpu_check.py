"""Is this GPU served right, and how fast? Equality, sampling, updates, memory: one table.

    make gpu-check ARGS="--output_dir gpu-check --model qwen2.5-1.5b --minutes 8"

It needs a CUDA GPU that torch sees, and no network: models have random weights of a known shape,
unless a folder or Hub id is named. Every check runs in a process of its own, and one that fails is
a row of the table. It leaves gpu-check.md, gpu-check.json and gpu-check.log; the exit code is 1
where something is unequal or failed, 2 without a GPU. `--device cpu --tiny true` tries the checks
themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from gpu_checks import report
from gpu_checks.checks import CHECKS, SUBJECTS, Result, run_checks
from gpu_checks.isolation import WAYS, Apart
from gpu_checks.rows import Setting

MODELS = ("qwen2.5-0.5b", "qwen2.5-1.5b", "smollm2-135m", "tiny")
_PREPARE = "gpu_checks.machine:prepare"
_PREPARE_SECONDS = 120


def main() -> None:
    args = _arguments()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    start = time.monotonic()
    out = Path(args.output_dir)
    log = out / "gpu-check.log"
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        _refuse_without_gpu(args.device)
        out.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        apart, machine = _prepared(args, log, Path(folder))
        setting = _setting(args, machine, folder)
        about = _about(args, machine, setting)
        checks = [check for check in CHECKS if check.name.partition(":")[0] in args.checks]
        results: list[Result] = []
        left = 60 * args.minutes - (time.monotonic() - start)
        for result in run_checks(checks, setting, apart, left):
            results.append(result)
            bad = ", ".join(row.note for row in result.rows if row.problem)
            print(f"{result.name}: {result.seconds:.0f} s{f' ({bad})' if bad else ''}", flush=True)
            seconds = time.monotonic() - start
            _write(out, about, results, seconds)  # after each: the figures outlive this process
    report.show(about, results)
    print(f"{seconds:.0f} s; what the checks printed: {log}")
    sys.exit(1 if report.is_bad(results) else 0)


def _write(out: Path, about: dict[str, Any], results: list[Result], seconds: float) -> None:
    text = json.dumps(report.content(about, results, seconds), indent=2)
    (out / "gpu-check.json").write_text(text + "\n", "utf-8")
    (out / "gpu-check.md").write_text(report.markdown(about, results), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--output_dir", default="gpu-check")
    known = ", ".join(MODELS)
    parser.add_argument("--model", help=f"random weights of {known}; or a folder or Hub id")
    parser.add_argument("--checks", default=",".join(SUBJECTS), help="some of %(default)s")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=8, help="checks start within them")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--tiny", type=_truth, default=False, help="true: little work")
    args = parser.parse_args()
    args.model = args.model or ("tiny" if args.tiny else MODELS[0])
    if args.rounds < 1:
        parser.error("--rounds must be 1 or more")
    args.checks = args.checks.split(",")
    for subject in args.checks:
        if subject not in SUBJECTS:
            parser.error(f"no checks of {subject!r}: choose from {', '.join(SUBJECTS)}")
    return args


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"true or false, not {text!r}")
    return text.lower() == "true"


def _refuse_without_gpu(device: str) -> None:
    """In a line. By a library that leaves the driver alone, so that processes can be forked."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        print(
            f"gpu-check: torch {torch.__version__} sees no CUDA GPU: it needs one, its driver, and "
            "a build of torch for it (https://pytorch.org/get-started)",
            file=sys.stderr,
        )
        sys.exit(2)


def _prepared(args: argparse.Namespace, log: Path, folder: Path) -> tuple[Apart, Any]:
    """The way of starting processes that can use the device; the machine; a model in `folder`."""
    error = ""
    for way in WAYS:
        apart = Apart(log, way)
        outcome = apart.run(_PREPARE, _PREPARE_SECONDS, args.device, args.model, folder)
        if outcome.value is not None:
            return apart, outcome.value
        error = outcome.error or f"took more than {_PREPARE_SECONDS} s"
    print(f"gpu-check: the device or the model cannot be used: {error}", file=sys.stderr)
    sys.exit(2)


def _setting(args: argparse.Namespace, machine: Any, folder: str) -> Setting:
    emulates = args.device == "cuda" and machine.bf16 != "native"
    return Setting(
        device=args.device,
        model=folder if args.model in MODELS else args.model,
        precision="fp16" if emulates else "bf16",
        peak_flops=None if machine.peak_tflops is None else machine.peak_tflops * 1e12,
        tiny=args.tiny,
        rounds=args.rounds,
    )


def _about(args: argparse.Namespace, machine: Any, setting: Setting) -> dict[str, Any]:
    """What stands above the table."""
    weights = ", random weights" if args.model in MODELS else ""
    return {
        "machine": machine.as_json(),
        "model": f"{args.model}{weights}",
        "precision": setting.precision,
        "minutes": args.minutes,
    }


if __name__ == "__main__":
    main()
