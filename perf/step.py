"""A whole training step, sampling and update: ours, TRL's GRPOTrainer's, and a plain padded one.

    python perf/step.py --case demo --peers trl,plain [--dtype bf16] --json FILE

The same model, questions, completions per question, cap and dtype. Each system lives in a process
of its own and they take turns; the learning rate is 0, so that the completions stay those of the
base; the median of the steps counts. `--peers no_sharing,no_packing,…` turns one part of our
update off at a time. `--run DIR --at STEP` times the update alone, on completions of a past run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from workers import Worker, add_dtype
from workloads import STEPS

PEERS = ("trl", "plain", "no_merging", "no_sharing", "no_packing", "no_chunks")


def main() -> None:
    args = _arguments()
    if args.worker:
        from steps_under_test import work

        work(args)
        return
    systems = ("rlsc", *args.peers)
    workers = {name: Worker(__file__, name, _passed_on(args)) for name in systems}
    steps: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    try:
        for number in range(args.steps):
            for name, worker in workers.items():
                answer = worker.ask()
                steps[name].append(answer)
                print(f"step {number + 1}: {name} {_line(answer)}", flush=True)
    finally:
        for worker in workers.values():
            worker.stop()
    report = {
        "case": args.case if not args.run else f"{args.run}, step {args.at}",
        "dtype": steps["rlsc"][0]["dtype"],
        "machine": steps["rlsc"][0]["machine"],
        "results": [_summary(name, steps[name]) for name in systems],
    }
    _print(report)
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--case", choices=STEPS, default="demo")
    add_dtype(parser)
    parser.add_argument("--peers", default="plain", help=f"comma list of {', '.join(PEERS)}")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--model", help="Hub id or folder; by default the embedded SmolLM2-135M")
    parser.add_argument("--tokens_per_microbatch", type=int, help="of ours; default: rlsc's")
    parser.add_argument("--run", metavar="DIR", help="replay this run's completions")
    parser.add_argument("--at", type=int, default=0, help="which of its steps to replay")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.peers = [name for name in args.peers.split(",") if name]
    for name in args.peers:
        if name not in PEERS:
            parser.error(f"no peer {name!r}: choose from {', '.join(PEERS)}")
        if name == "trl" and args.run:
            parser.error("TRL samples for itself: --run replays completions for the others")
    return args


def _passed_on(args: argparse.Namespace) -> list[str]:
    passed = ["--case", args.case, "--at", str(args.at), "--steps", str(args.steps)]
    passed += ["--dtype", args.dtype]
    passed += ["--model", args.model] if args.model else []
    if args.tokens_per_microbatch is not None:
        passed += ["--tokens_per_microbatch", str(args.tokens_per_microbatch)]
    return passed + (["--run", args.run] if args.run else [])


def _line(answer: dict[str, Any]) -> str:
    return (
        f"{answer['seconds_per_step']:.1f} s ({answer['sample_seconds']:.1f} sampling, "
        f"{answer['update_seconds']:.1f} update), {answer['tokens']:,} tokens"
    )


def _summary(name: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    def median(key: str) -> float:
        return statistics.median(step[key] for step in steps)

    times = ("seconds_per_step", "sample_seconds", "update_seconds")
    summary: dict[str, Any] = {"system": name} | {key: median(key) for key in times}
    summary["peak_memory_gb"] = max(step["peak_memory_gb"] for step in steps)
    summary["tokens"] = [step["tokens"] for step in steps]
    summary["tokens_per_second"] = median("tokens") / summary["seconds_per_step"]
    if "bound_seconds" in steps[0]:
        summary["update_share_of_bound"] = median("bound_seconds") / summary["update_seconds"]
    return summary


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report['case']}, {report['dtype']}, {report['machine']}")
    columns = ("system", "s a step", "sampling", "update", "rlsc is", "its update", "peak GB")
    for column in (*columns, "tokens/s", "of the bound"):
        table.add_column(column, justify="left" if column == "system" else "right")
    ours = report["results"][0]
    for result in report["results"]:
        bound = result.get("update_share_of_bound")
        table.add_row(
            result["system"],
            f"{result['seconds_per_step']:.1f}",
            f"{result['sample_seconds']:.1f}",
            f"{result['update_seconds']:.1f}",
            f"{result['seconds_per_step'] / ours['seconds_per_step']:.2f} ×",
            f"{result['update_seconds'] / ours['update_seconds']:.2f} ×",
            f"{result['peak_memory_gb']:.2f}",
            f"{result['tokens_per_second']:,.0f}",
            "" if bound is None else f"{bound:.0%}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
