"""Rollout speed: ours, transformers' `generate` and `generate_batch`, and vLLM, side by side.

    python perf/rollout.py --case words --engines native,hf,hf_continuous,vllm [--dtype bf16]

Each engine lives in a process of its own and they run in turn, so that a noisy machine is noisy
for all; the median of the rounds counts. The bound is what the model's matrix products alone
would take at the number of completions live at each step, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from workers import Memory, Worker, add_dtype, chosen, reply
from workloads import CASES, Case

ENGINES = ("native", "hf", "hf_continuous", "vllm")
_ROWS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)


def main() -> None:
    args = _arguments()
    if args.worker:
        _work(args)
        return
    case = CASES[args.case]
    workers = {name: Worker(__file__, name, _passed_on(args)) for name in (*args.engines, "bound")}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    try:
        for name, worker in workers.items():
            print(f"starting {name} …", flush=True)
            worker.ask()  # a short run, not counted
        for number in range(args.rounds or case.rounds):
            for name, worker in workers.items():
                answer = worker.ask()
                rounds[name].append(answer)
                if name != "bound":
                    speed = answer["tokens"] / answer["seconds"]
                    print(f"round {number + 1}: {name} {speed:,.0f} tokens/s", flush=True)
    finally:
        for worker in workers.values():
            worker.stop()
    report = _report(args, case, rounds)
    _print(report)
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--case", choices=CASES, default="words")
    add_dtype(parser)
    parser.add_argument(
        "--engines", default="native,hf", help=f"comma list of {', '.join(ENGINES)}"
    )
    parser.add_argument("--model", help="Hub id or folder; by default the embedded SmolLM2-135M")
    parser.add_argument("--rounds", type=int, default=0, help="0: as many as the case asks for")
    parser.add_argument("--rows", type=int, default=0, help="completions at once; 0: the case's")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.engines = args.engines.split(",")
    unknown = [name for name in args.engines if name not in ENGINES]
    if unknown:
        parser.error(f"no engine {unknown[0]!r}: choose from {', '.join(ENGINES)}")
    return args


def _passed_on(args: argparse.Namespace) -> list[str]:
    command = ["--case", args.case, "--dtype", args.dtype, "--rows", str(args.rows)]
    return command + (["--model", args.model] if args.model else [])


def _work(args: argparse.Namespace) -> None:
    """In the worker: a short run first, then one full run a line."""
    from engines_under_test import make_runner

    case = CASES[args.case]
    dtype = chosen(args.dtype)
    run = make_runner(args.worker, args.model, dtype, args.rows or case.rows)
    for number, _ in enumerate(sys.stdin):
        questions = case.questions if number else case.questions[:4]
        cap = case.max_new_tokens if number else min(8, case.max_new_tokens)
        with Memory() as memory:
            start = time.perf_counter()
            answer = run(case, questions, cap)
            answer |= {"seconds": time.perf_counter() - start, "dtype": dtype}
        answer |= {"peak_memory_gb": memory.peak / 1e9, "added_memory_gb": memory.added / 1e9}
        reply(answer)


def _report(
    args: argparse.Namespace, case: Case, rounds: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    times = {
        rows: statistics.median(result["seconds_by_rows"][str(rows)] for result in rounds["bound"])
        for rows in _ROWS
    }
    results = []
    for name in args.engines:
        speeds = [result["tokens"] / result["seconds"] for result in rounds[name]]
        lengths = [result["lengths"] for result in rounds[name]]
        bounds = [
            sum(lived) / _bound_seconds(lived, times, args.rows or case.rows) for lived in lengths
        ]
        results.append(
            {
                "engine": name,
                "tokens_per_second": statistics.median(speeds),
                "peak_memory_gb": max(result["peak_memory_gb"] for result in rounds[name]),
                "added_memory_gb": max(result["added_memory_gb"] for result in rounds[name]),
                "bound_tokens_per_second": statistics.median(bounds),
                "share_of_bound": statistics.median(speeds) / statistics.median(bounds),
                "tokens": rounds[name][-1]["tokens"],
                "tokens_per_second_by_round": speeds,
            }
        )
    return {
        "case": args.case,
        "dtype": rounds["bound"][0]["dtype"],
        "machine": rounds["bound"][0]["machine"],
        "bound_tokens_per_second": results[0]["bound_tokens_per_second"],
        "results": results,
    }


def _bound_seconds(lengths: Sequence[int], times: dict[int, float], rows: int) -> float:
    """Σ over decoding steps of the products' time at that step's live rows.

    A row needs a step for each token but its first, which its prompt gives. Waiting rows take
    the places of those that have ended.
    """
    waiting = [length - 1 for length in reversed(lengths) if length > 1]
    live: list[int] = []
    seconds = 0.0
    while waiting or live:
        while waiting and len(live) < rows:
            live.append(waiting.pop())
        seconds += _time_at(len(live), times)
        live = [left - 1 for left in live if left > 1]
    return max(seconds, 1e-9)


def _time_at(rows: int, times: dict[int, float]) -> float:
    most = max(times)
    if rows > most:  # large products cost by the row
        return times[most] * rows / most
    low = max(measured for measured in times if measured <= rows)
    high = min((measured for measured in times if measured >= rows), default=low)
    share = (rows - low) / (high - low) if high > low else 0.0
    return times[low] + share * (times[high] - times[low])


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report['case']}, {report['dtype']}, {report['machine']}")
    columns = ("engine", "tokens/s", "of the bound", "native is", "peak GB", "of it added")
    for column in columns:
        table.add_column(column, justify="left" if column == "engine" else "right")
    speeds = {result["engine"]: result["tokens_per_second"] for result in report["results"]}
    for result in report["results"]:
        name, speed = result["engine"], result["tokens_per_second"]
        ratio = f"{speeds['native'] / speed:.2f} ×" if "native" in speeds else ""
        share = f"{result['share_of_bound']:.0%}"
        memory = (f"{result['peak_memory_gb']:.2f}", f"{result['added_memory_gb']:.2f}")
        table.add_row(name, f"{speed:,.0f}", share, ratio, *memory)
    table.add_row("matrix products", f"{report['bound_tokens_per_second']:,.0f}", "100%")
    Console().print(table)


if __name__ == "__main__":
    main()
