"""A completion's fenced blocks, and whether it has the asked format. Nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["fence", "tags"]
_FENCE = "```"
_ALIASES = {"py": "python", "python3": "python"}


@dataclass(frozen=True)
class Written:
    """The blocks of a completion, as (name, content), and whether nothing but them ends it.

    >>> read("It doubles.\\n```output\\n4\\n```", "fence")
    Written(blocks=(('output', '4'),), has_form=True)
    """

    blocks: tuple[tuple[str, str], ...]
    has_form: bool

    def of(self, name: str) -> list[str]:
        """The contents of the blocks of a name, in order."""
        return [content for other, content in self.blocks if other == name]

    def last(self, name: str) -> str | None:
        """The last of them, which is an answer; None where there is none."""
        return next(reversed(self.of(name)), None)

    def ends_with(self, name: str) -> bool:
        """Whether the last block of all, behind which is nothing, is of this name."""
        return self.has_form and self.blocks[-1][0] == name


def read(text: str, form: Format) -> Written:
    """Its blocks, in whatever frame they stand; `has_form` is of the frame too.

    Of `tags` a thought ends with `</think>`, and the answer follows at once, between its tags; the
    end tag is where the completion was stopped.
    """
    framed = True
    if form == "tags":
        _, thought, rest = text.partition("</think>")
        between, begun, answer = rest.partition("<answer>")
        framed = bool(thought and begun and not between.strip())
        text = (answer if begun else text).partition("</answer>")[0]
    blocks, open_name, content, follows = [], None, list[str](), False
    for line in text.splitlines():
        mark = line.strip()
        if open_name is None and mark.startswith(_FENCE):
            name = mark.removeprefix(_FENCE).strip().lower()
            open_name, content = _ALIASES.get(name, name), []
        elif open_name is not None and mark == _FENCE:
            blocks.append((open_name, "\n".join(content)))
            open_name, follows = None, False
        elif open_name is not None:
            content.append(line)
        else:
            follows |= bool(mark)
    return Written(tuple(blocks), framed and bool(blocks) and open_name is None and not follows)
