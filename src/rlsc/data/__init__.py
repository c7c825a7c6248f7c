"""Questions, and the prompts that are made of them."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.data.prompts import (
        TRAINING_ADVICE,
        end_of_turn,
        fit_context,
        format_question,
        render,
        stop_token_ids,
    )
    from rlsc.data.questions import (
        QuestionSet,
        Row,
        Rows,
        load_questions,
        read_hub_rows,
        read_jsonl_rows,
    )
    from rlsc.data.templates import SUMS, TEMPLATES, find_template

__getattr__ = lazy_face(__name__)
