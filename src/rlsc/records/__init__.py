"""What a run leaves on disk: its folder, JSON lines, checkpoints, how it was made."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.records.checkpoints import (
        PREFIX,
        UNFINISHED,
        drop_checkpoints,
        last_checkpoint,
        seal,
        sync,
    )
    from rlsc.records.conversion import from_json, to_json
    from rlsc.records.environment import HowMade, write_environment
    from rlsc.records.files import read_json, write_json, write_text
    from rlsc.records.guided import (
        GUIDED,
        PERFECT,
        PLAIN,
        RANDOM,
        GuidedResults,
        GuidedScore,
        GuidedTokens,
    )
    from rlsc.records.identity import (
        ANEW,
        IDENTITY,
        Parts,
        changed_parts,
        check_same,
        content_hash,
        hash_of_files,
        hash_of_stamps,
        listed,
        prompt_parts,
        question_parts,
        reference_parts,
        write_identity,
    )
    from rlsc.records.jsonl import append_jsonl, read_jsonl, write_jsonl
    from rlsc.records.legs import Legs
    from rlsc.records.lock import check_free, locked
    from rlsc.records.results import (
        AS_TRAINED,
        AT_BEST,
        AT_TRAINING_TEMPERATURE,
        BEST_VOTE,
        EVALUATION,
        GREEDY,
        RESULTS,
        SAMPLED,
        UNTRAINED_BEST,
        VOTE,
        Best,
        ComparedMethod,
        ComparedRun,
        ComparedTo,
        ComparisonPoint,
        ComparisonResults,
        CurvePoint,
        EvaluationResults,
        GuardResults,
        GuardVerdict,
        ModelScores,
        Results,
        TaskFacts,
        TaskResults,
        TrainingResults,
        read_results,
        read_results_of,
        temperature_label,
        write_results,
    )
    from rlsc.records.rows import AnswerRow, append_rows, as_line, read_rows, rows_file, write_rows
    from rlsc.records.run_folder import (
        ComparisonFolder,
        EvaluationFolder,
        RunFolder,
        TrainingFolder,
        check_writable,
        open_folder,
    )
    from rlsc.records.tasks import GameRow

__getattr__ = lazy_face(__name__)
