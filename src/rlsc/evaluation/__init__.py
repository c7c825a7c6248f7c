"""One evaluation: tasks asked in settings, answers collected, scored and compared."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.evaluation.asking import BENCHMARK_ADVICE, Asked, prepare, room
    from rlsc.evaluation.baseline import Baseline
    from rlsc.evaluation.benchmarks.tasks import load_task, load_tasks
    from rlsc.evaluation.collecting import (
        Collecting,
        check_kept,
        collect,
        collect_ways,
        regrade,
    )
    from rlsc.evaluation.contamination import overlap
    from rlsc.evaluation.guided.arms import LoadedCritic, collect_guided, step_kinds
    from rlsc.evaluation.guided.outcome import GuidedArms, guided_results
    from rlsc.evaluation.identity import judging_of_task, prompts_of, questions_of_task
    from rlsc.evaluation.outcome import Side, score_side, task_facts, task_results
    from rlsc.evaluation.scoring import Answers, by_question, compare, score
    from rlsc.evaluation.settings import (
        benchmark_setting,
        check_chat_settings,
        control_settings,
        own_settings,
        resolve_template,
        temperature_setting,
    )
    from rlsc.evaluation.token_spans import token_ends
    from rlsc.evaluation.untrained import (
        LONG_CAP,
        TERSE,
        best_ways,
        template_ways,
        tried,
        ways,
    )

__getattr__ = lazy_face(__name__)
