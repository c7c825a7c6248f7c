"""Public names of before and what they are called now: importing one says so, in a line.

The tables are those of CHANGELOG.md; a test holds them against it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

_HOMES = {
    "rlsc.training; its RLSCTrainer is rlsc.RLSCTrainer": "trainer",
    "rlsc.training, and its read_jsonl rlsc.records": "runlog",
    "rlsc.commands.main": "cli",
    "rlsc.commands": (
        "arguments compare dry_run eval_run evaluation_run hub probe_questions report_run run "
        "train_benchmarks"
    ),
    "rlsc.config": ("checks compare_config engine_config guard_config objective_config run_config"),
    "rlsc.data": "questions prompts templates fewshot",
    "rlsc.models": "adapters attention reward_model",
    "rlsc.logprobs": "scoring batching token_tree path_attention chunked_head",
    "rlsc.guard": "verdicts signals probe selection snapshots",
    "rlsc.training": (
        "brakes callbacks checkpoints gradients metrics reference rollouts trainer_inputs update "
        "value_head weighing"
    ),
    "rlsc.evaluation": (
        "baseline benchmark_run benchmark_table benchmarks changes evaluate samples scores "
        "token_spans"
    ),
    "rlsc.records": "provenance runfolder",
    "rlsc.statistics": "calibration",
    "rlsc.planning": "footprint live_memory plan",
    "rlsc.runtime": "display memory processes sharding",
    "rlsc.objectives": "objectives.table",
    "rlsc.engines": (
        "engines.kv_cache engines.prefill engines.rollout engines.sampling engines.shared_prefix "
        "engines.spread"
    ),
    "rlsc.grading": (
        "grading.atoms grading.boxes grading.choice grading.compare grading.fallback "
        "grading.forms grading.grade grading.keys grading.normalise grading.numbers "
        "grading.passages grading.relations grading.sets grading.spelling grading.units "
        "grading.values"
    ),
    "rlsc.report": (
        "report.benchmarks report.calibration report.cases report.comparison "
        "report.comparison_plot report.curves report.distrust report.eval_plot report.guard "
        "report.lengths report.markdown_eval report.page_compare report.page_eval "
        "report.page_train report.plot report.sides report.table report.text report.training"
    ),
}
MODULES = {f"rlsc.{old}": new for new, many in _HOMES.items() for old in many.split()}
"""Modules that there are no more → where their names are."""
_OF_OBJECTIVES = {
    "Siblings": "rlsc.objectives.PoolView",
    "Rows": "rlsc.objectives.LossInputs",
    "RowLoss": "rlsc.objectives.SequenceLoss",
}
NAMES = {
    "rlsc.config": {"RLSCConfig": "rlsc.RLSCConfig"},
    "rlsc.guard": {"Verdict": "rlsc.guard.Health"},
    "rlsc.objectives": _OF_OBJECTIVES
    | {"General": "rlsc.objectives.general.General", "check_siblings": "Objective.check(run)"},
    "rlsc.objectives.base": _OF_OBJECTIVES,
    "rlsc.report": {"write_markdown": "rlsc.report.write_report"}
    | {"print_table": "rlsc.report.print_results"},
}
"""Names that are gone from modules that there are still."""


def check_renamed(module: str, name: str) -> None:
    """Raise `ImportError` that says the new name, where `module.name` is one of before."""
    new = NAMES.get(module, {}).get(name)
    if new is not None:
        raise ImportError(f"{module}.{name} is now {new} (see CHANGELOG.md)")


class OldModules:
    """The last on `sys.meta_path`: only modules that are not there come to it."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> None:
        if name in MODULES:
            raise ImportError(f"{name} is now {MODULES[name]} (see CHANGELOG.md)")


def tell_new_names() -> None:
    sys.meta_path.append(OldModules())  # type: ignore[arg-type]
