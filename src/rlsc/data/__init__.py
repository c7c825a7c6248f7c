"""Questions, and the prompts that are made of them."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.data.messages import as_prompt, with_suffix
    from rlsc.data.prompts import (
        TRAINING_ADVICE,
        PromptRow,
        check_vocabulary,
        end_of_turn,
        fit_context,
        format_question,
        render,
        stop_token_ids,
        vocabulary_size,
        written_vocabulary,
    )
    from rlsc.data.questions import (
        QuestionSet,
        is_built_in,
        load_questions,
        question_set,
    )
    from rlsc.data.rows import (
        Row,
        Rows,
        has_file_ending,
        identifiers,
        read_hub_rows,
        read_rows,
        rows_of,
        text_of,
    )
    from rlsc.data.templates import SUMS, TEMPLATES, WORKED_SUMS, find_template

__getattr__ = lazy_face(__name__)
