"""Prompt templates: the exact text a model reads, where its answer ends, what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlsc.config.evaluation import MOST_SHOTS
from rlsc.config.shared import TEMPLATE_NAMES
from rlsc.data.exemplars import exemplars
from rlsc.data.prompts import format_question
from rlsc.data.templates import TEMPLATES, find_template, render_template
from rlsc.errors import ConfigError
from rlsc.evaluation.benchmarks.loading import load_benchmark
from rlsc.evaluation.benchmarks.table import BENCHMARKS
from rlsc.evaluation.contamination import overlap
from rlsc.types import Question
from tests.ascii_model import ascii_tokenizer

QUESTION = Question("q", "What is 3 + 8?")
KINDS = ("math", "numeric", "choice")
CHAT = ascii_tokenizer()
BASE = ascii_tokenizer(chat=False)

# A model trained on these texts hears every character: a lost space costs points.
TEXTS = {
    "qwen2.5-math": (
        "<|im_start|>system\n"
        "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
        "<|im_start|>user\n"
        "What is 3 + 8?<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "evalchemy": "Problem: What is 3 + 8?\nMark your solution with \\boxed\nAnswer:",
    "none": "What is 3 + 8?",
    "few-shot": (
        "Question: A gardener plants 6 rows of 14 tulips and then removes 9 that are sick. "
        "How many tulips are left?\n"
        "Answer: The rows hold 6 \\cdot 14 = 84 tulips. Without the 9 sick ones, 84 - 9 = 75 are "
        "left. The final answer is \\boxed{75}.\n"
        "\n"
        "Question: What is 3 + 8?\n"
        "Answer:"
    ),
}
STOPS = {
    "qwen2.5-math": ("<|im_end|>", "<|endoftext|>"),
    "evalchemy": ("\nProblem:",),
    "none": (),
    "few-shot": ("\nQuestion:",),
}
# What each exemplar asks, worked out by hand.
ANSWERS = {
    "math": ["75", "-\\frac{1}{2}, 3", "\\frac{1}{8}", "(-\\infty, 7]"],
    "numeric": ["44.1", "6.0e-7", "-\\frac{1}{2}, 3", "\\frac{1}{8}"],
    "choice": ["C", "A", "D", "B"],
}
OPTIONS = {"C": "29", "A": "Carbon dioxide", "D": "60 km/h", "B": "Bubble sort"}


@pytest.fixture
def own(tmp_path: Path):
    """Writes a template of the user's and gives its name."""

    def write(text: str, name: str = "mine.jinja") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


# Those that come along.


def test_the_names() -> None:
    assert set(TEMPLATES) == set(TEXTS)
    assert list(TEMPLATE_NAMES) == ["auto", "chat", *TEMPLATES]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("tokenizer", [CHAT, BASE], ids=["chat", "base"])
def test_the_exact_text(name: str, tokenizer) -> None:
    """Whatever chat template the model has: these bring their own turns."""
    assert format_question(QUESTION, tokenizer, name, shots=1) == TEXTS[name]
    assert render_template(find_template(name), QUESTION, shots=1) == TEXTS[name]


@pytest.mark.parametrize("name", STOPS)
def test_where_an_answer_ends(name: str) -> None:
    assert find_template(name).stop_strings == STOPS[name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shots", [0, 1, 3, 4])
def test_few_shot_has_that_many_exemplars_of_its_kind(kind: str, shots: int) -> None:
    text = render_template(find_template("few-shot"), QUESTION, kind, shots)
    *shown, last = text.split("Question: ")[1:]
    assert last == "What is 3 + 8?\nAnswer:"
    assert [re.findall(r"\\boxed\{(.*)\}\.\n\n$", part) for part in shown] == [
        [answer] for answer in ANSWERS[kind][:shots]
    ]


def test_choice_exemplars_answer_with_the_letter_of_an_option() -> None:
    for shot, letter in zip(exemplars("choice", 4), ANSWERS["choice"], strict=True):
        options = dict(re.findall(r"^([A-D])\. (.+)$", shot.question, re.MULTILINE))
        assert list(options) == list("ABCD")
        assert options[letter] == OPTIONS[letter]
        assert shot.answer.endswith(f"The final answer is \\boxed{{{letter}}}.")


def test_the_most_shots_that_can_be_set_are_those_there_are() -> None:
    for asked in (MOST_SHOTS, MOST_SHOTS + 95):
        assert [len(exemplars(kind, asked)) for kind in KINDS] == [MOST_SHOTS] * 3


def test_no_exemplar_is_a_benchmarks(shared_data: Path) -> None:
    shots = [
        Question(f"{kind}/{number}", shot.question)
        for kind in KINDS
        for number, shot in enumerate(exemplars(kind, MOST_SHOTS))
    ]
    known = Question("known", "A question that is found, so that others would be?")
    for name, benchmark in BENCHMARKS.items():
        if not benchmark.gated and not benchmark.own_form:  # of mathematics, as exemplars are
            questions = load_benchmark(name, shared_data).questions
            assert overlap([*shots, known], [*questions, known]) == ["known"]


# By what the tokenizer has.


def test_auto_is_chat_where_there_is_a_chat_template_else_none() -> None:
    messages = [{"role": "user", "content": QUESTION.text}]
    assert format_question(QUESTION, CHAT, "auto") == messages
    assert format_question(QUESTION, CHAT, "chat", kind="choice", shots=2) == messages
    assert format_question(QUESTION, BASE, "auto") == QUESTION.text
    assert format_question(QUESTION, CHAT, "none") == QUESTION.text


def test_chat_needs_a_chat_template() -> None:
    with pytest.raises(ConfigError, match="no chat template; use --template none"):
        format_question(QUESTION, BASE, "chat")


@pytest.mark.parametrize("name", TEXTS)
def test_a_system_prompt_is_for_chat_alone(name: str) -> None:
    with pytest.raises(ConfigError, match="system_prompt needs a chat template"):
        format_question(QUESTION, CHAT, name, "Be brief")


# A user's own.


def test_a_file_has_the_question_its_kind_and_the_exemplars(own) -> None:
    name = own("{{ kind }}|{{ shots | length }}|{{ shots[0].answer[-4:] }}|{{ question }}\n\n")
    expected = "choice|2|{C}.|What is 3 + 8?\n\n"
    assert format_question(QUESTION, CHAT, name, kind="choice", shots=2) == expected
    template = find_template(name)
    assert (template.name, template.stop_strings) == ("mine", ())


@pytest.mark.parametrize("ending", [".jinja", ".jinja2", ".j2"])
def test_a_file_is_known_by_its_ending(own, ending: str) -> None:
    assert format_question(QUESTION, BASE, own("Q: {{ question }}", f"m{ending}")) == (
        "Q: What is 3 + 8?"
    )


def test_home_and_letters_beyond_ascii(own, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(own("Löse: {{ question }} →"))
    monkeypatch.setenv("HOME", str(path.parent))
    assert format_question(QUESTION, BASE, f"~/{path.name}") == "Löse: What is 3 + 8? →"


@pytest.mark.parametrize("name", [*TEXTS, None])
def test_a_question_is_text_and_not_a_template(own, name: str | None) -> None:
    question = Question("q", "What is {{ 7 * 7 }} {% raw %} <b> & {# x #}?")
    text = format_question(question, BASE, name or own("{{ question }}"))
    assert question.text in text
    assert "49" not in text.replace(question.text, "")


def refusal(name: str) -> str:
    """The error's message, which must be one line."""
    with pytest.raises(ConfigError) as caught:
        format_question(QUESTION, CHAT, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ question }} {{ answer }}", "'answer' is undefined (it may use question, kind and"),
        ("{{ question }} {{ shots[9].answer }}", "shots"),
        ("{{ question", "unexpected end"),
        ("a\n{% if question %}\nb\n", "'endif'"),
        ("{% for %}{{ question }}", "xpected an expression"),
        ("{{ question.__class__.__mro__ }}", "unsafe"),
        ("Solve it.", "does not contain {{ question }}"),
        ("{{ question | upper }}", "does not contain {{ question }}"),
        ("", "does not contain {{ question }}"),
    ],
)
def test_a_template_that_cannot_work_says_why(own, text: str, message: str) -> None:
    line = refusal(own(text))
    assert line.startswith("template mine")
    assert message in line


@pytest.mark.parametrize(
    "text",
    [
        "{{ question + 1 }}",
        "{{ question }}{{ 1 // 0 }}",
        "{% include 'other.jinja' %}{{ question }}",
        "{% for i in range(10 ** 9) %}{{ question }}{% endfor %}",
    ],
    ids=["type", "division", "include", "range"],
)
def test_errors_of_python_within_a_template_are_the_users_too(own, text: str) -> None:
    assert refusal(own(text)).startswith("template mine")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.jinja"
    assert refusal(str(missing)).startswith(f"template {missing} cannot be read: ")
    (tmp_path / "latin.jinja").write_bytes("{{ question }} ü".encode("latin-1"))
    assert "cannot be read" in refusal(str(tmp_path / "latin.jinja"))
    (tmp_path / "folder.jinja").mkdir()
    assert "cannot be read" in refusal(str(tmp_path / "folder.jinja"))


@pytest.mark.parametrize("name", ["qwen", "qwen2.5_math", "fewshot", "", "prompt.txt", "Chat"])
def test_an_unknown_name_lists_the_known(name: str) -> None:
    line = refusal(name)
    assert line.endswith(f"or a .jinja file, not {name!r}")
    assert all(known in line for known in TEMPLATE_NAMES)
