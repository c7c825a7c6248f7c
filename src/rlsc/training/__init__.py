"""One optimizer step, and many."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.training.arguments import RLSCConfig, device_has_bf16
    from rlsc.training.auxiliary import needs_reference
    from rlsc.training.games import check_adapters
    from rlsc.training.identity import (
        ENGINE,
        WEIGHTS,
        code_parts,
        engine_parts,
        label_parts,
        tokenizer_parts,
    )
    from rlsc.training.labels import check_judged, labels_in_use, reads_labels
    from rlsc.training.preparation import (
        check_environment,
        check_processes,
        examples_of,
        given_pairs,
        probe_prompts,
        render_all,
        sampling_of,
    )
    from rlsc.training.refused import naming_the_optimizer
    from rlsc.training.supervised import supervised_groups, supervised_parts, supervised_rows
    from rlsc.training.trainer import RLSCTrainer

__getattr__ = lazy_face(__name__)
