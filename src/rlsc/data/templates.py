r"""Prompt templates by name, those of the literature on Qwen2.5-Math and its like.

A template is Jinja text over `question` and `kind`; `chat` alone is the model's own and lives in
its tokenizer. A base model goes on after its answer, so a template brings strings to stop at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rlsc.config import check_template
from rlsc.data.exemplars import exemplars
from rlsc.errors import ConfigError
from rlsc.types import Question


@dataclass(frozen=True)
class Template:
    """Jinja text that renders a whole prompt, and the strings at which its answer ends."""

    name: str
    text: str
    stop_strings: tuple[str, ...] = ()


_CHATML_ENDS = ("<|im_end|>", "<|endoftext|>")

TEMPLATES = {
    template.name: template
    for template in (
        # The system message of Qwen2.5-Math's own evaluation.
        Template(
            "qwen2.5-math",
            "<|im_start|>system\nPlease reason step by step, and put your final answer within "
            "\\boxed{}.<|im_end|>\n<|im_start|>user\n{{ question }}<|im_end|>\n"
            "<|im_start|>assistant\n",
            _CHATML_ENDS,
        ),
        Template(
            "evalchemy",
            "Problem: {{ question }}\nMark your solution with \\boxed\nAnswer:",
            ("\nProblem:",),
        ),
        Template("none", "{{ question }}"),
        Template(
            "few-shot",
            "{% for shot in shots %}Question: {{ shot.question }}\nAnswer: {{ shot.answer }}\n\n"
            "{% endfor %}Question: {{ question }}\nAnswer:",
            ("\nQuestion:",),
        ),
    )
}

SUMS = "four-sums"
"""Worked sums before the question; for additions alone, and so none of the others' company."""
_SUMS = Template(
    SUMS,
    "Question: What is 12 + 7?\nAnswer: 19\n\nQuestion: What is 35 + 48?\nAnswer: 83\n\n"
    "Question: What is 64 + 21?\nAnswer: 85\n\nQuestion: What is 59 + 36?\nAnswer: 95\n\n"
    "Question: {{ question }}\nAnswer:",
    ("\nQuestion:",),
)

WORKED_SUMS = "worked-sums"
"""Sums of several numbers, worked out a line a step; likewise."""
_WORKED_SUMS = Template(
    WORKED_SUMS,
    "Question: What is 18 + 27 + 6?\n18 + 27 = 45\n45 + 6 = 51\n\n"
    "Question: What is 31 + 9 + 52 + 14?\n31 + 9 = 40\n40 + 52 = 92\n92 + 14 = 106\n\n"
    "Question: What is 4 + 8 + 3?\n4 + 8 = 12\n12 + 3 = 15\n\n"
    "Question: {{ question }}\n",
    ("\n\n",),
)


def find_template(name: str) -> Template:
    """A template by name, or read from a `.jinja` file. Raises `ConfigError`."""
    if name == SUMS:
        return _SUMS
    if name == WORKED_SUMS:
        return _WORKED_SUMS
    if name in TEMPLATES:
        return TEMPLATES[name]
    check_template(name)
    path = Path(name).expanduser()
    try:
        return Template(path.stem, path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"template {name} cannot be read: {error}") from error


def render_template(
    template: Template, question: Question, kind: str = "math", shots: int = 4
) -> str:
    """The prompt's text. Raises `ConfigError` where a user's own template does not render."""
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    examples = exemplars(kind, shots)
    try:
        compiled = environment.from_string(template.text)
        text = compiled.render(question=question.text, kind=kind, shots=examples)
    except Exception as error:  # a user's template can raise whatever Python can
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"template {template.name}: {reason} (it may use question, kind and shots)"
        ) from error
    if question.text not in text:
        raise ConfigError(f"template {template.name} does not contain {{{{ question }}}}")
    return text
