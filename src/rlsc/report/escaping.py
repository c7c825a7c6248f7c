"""Text that others have written, as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

# Characters that change how others are read: shown by their code instead.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f"
    "\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def plain(text: object) -> Markup:
    """Escaped, with what would reorder or hide other characters shown by its code.

    Markup is left as it is.
    """
    if isinstance(text, Markup):
        return text
    return escape(_UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", str(text)))
