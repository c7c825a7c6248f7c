"""What a model says of given tokens: log-probs, entropies, self-certainty."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.logprobs.given_texts import score_texts
    from rlsc.logprobs.padded_rows import ScoredSequence, make_rows, pad
    from rlsc.logprobs.scorer import Batch, Layout, Scorer, TokenStats
    from rlsc.logprobs.support import supported_layout

__getattr__ = lazy_face(__name__)
