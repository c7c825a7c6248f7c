"""From question to token ids, on a word-level tokenizer made here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from rlsc.data.prompts import fit_context, format_question, render, stop_token_ids
from rlsc.errors import ConfigError, QuestionError
from rlsc.types import Prompt, Question

WORDS = ["<unk>", "<bos>", "<eos>", "<turn>", "<end>", "user", "system", "assistant"]
WORDS += ["What", "is", "3", "+", "8", "?", "Be", "brief", "zebra", "x", "11"]
ID = {word: number for number, word in enumerate(WORDS)}
CHAT = (
    "{{ bos_token }}{% for m in messages %}<turn> {{ m.role }} {{ m.content }} <end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn> assistant{% endif %}"
)
QUESTION = Question("q", "What is 3 + 8 ?")
USER = {"role": "user", "content": QUESTION.text}


def make_tokenizer(template: str | None = None, eos: str | None = "<eos>"):
    backend = Tokenizer(models.WordLevel(ID, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", ID["<bos>"])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>", "<end>"]})
    if eos:
        tokenizer.eos_token = eos
    tokenizer.chat_template = template
    return tokenizer


def make_model(config_eos=None, generation_eos=None):
    return SimpleNamespace(
        config=SimpleNamespace(eos_token_id=config_eos),
        generation_config=SimpleNamespace(eos_token_id=generation_eos),
    )


def ids(text: str) -> tuple[int, ...]:
    return tuple(ID[word] for word in text.split())


# The question as a prompt.


def test_a_chat_model_gets_messages() -> None:
    tokenizer = make_tokenizer(CHAT)
    assert format_question(QUESTION, tokenizer) == [USER]
    assert format_question(QUESTION, tokenizer, "chat") == [USER]
    system = {"role": "system", "content": "Be brief"}
    assert format_question(QUESTION, tokenizer, system_prompt="Be brief") == [system, USER]


def test_a_base_model_gets_the_bare_text() -> None:
    assert format_question(QUESTION, make_tokenizer()) == QUESTION.text
    assert format_question(QUESTION, make_tokenizer(CHAT), "none") == QUESTION.text


def test_what_needs_a_chat_template_says_so() -> None:
    with pytest.raises(ConfigError, match="no chat template"):
        format_question(QUESTION, make_tokenizer(), "chat")
    for tokenizer, template in ((make_tokenizer(), "auto"), (make_tokenizer(CHAT), "none")):
        with pytest.raises(ConfigError, match="system_prompt"):
            format_question(QUESTION, tokenizer, template, "Be brief")


# The prompt as token ids.


def test_a_string_is_tokenised_as_it_is() -> None:
    expected = ids("<bos> What is 3 + 8 ?")
    # A chat template has no part in it.
    for tokenizer in (make_tokenizer(), make_tokenizer(CHAT)):
        assert render(QUESTION.text, "q", tokenizer) == Prompt("q", QUESTION.text, expected)
    with pytest.raises(QuestionError, match=r"question q: .*empty"):
        render("", "q", make_tokenizer())


def test_messages_go_through_the_template_once() -> None:
    prompt = render([USER], "q", make_tokenizer(CHAT))
    assert prompt.text == "<bos><turn> user What is 3 + 8 ? <end>\n<turn> assistant"
    # One <bos>: the template's, and not the tokenizer's on top.
    assert prompt.token_ids == ids("<bos> <turn> user What is 3 + 8 ? <end> <turn> assistant")


def test_the_system_message_comes_first() -> None:
    tokenizer = make_tokenizer(CHAT)
    messages = format_question(QUESTION, tokenizer, system_prompt="Be brief")
    expected = (
        "<bos> <turn> system Be brief <end> <turn> user What is 3 + 8 ? <end> <turn> assistant"
    )
    assert render(messages, "q", tokenizer).token_ids == ids(expected)


def test_a_template_that_refuses_a_system_message_is_named() -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    )
    messages = format_question(QUESTION, make_tokenizer(template + CHAT), system_prompt="Be brief")
    with pytest.raises((ConfigError, QuestionError), match="no system role"):
        render(messages, "q", make_tokenizer(template + CHAT))


# The context.


def prompts(*lengths: int) -> list[Prompt]:
    return [Prompt(f"q{length}", "", (0,) * length) for length in lengths]


def test_prompts_that_fit_pass_in_order() -> None:
    given = prompts(6, 1, 4)
    assert fit_context(given, max_new_tokens=4, context=10) == (given, [])
    assert fit_context(given, max_new_tokens=10**6, context=None) == (given, [])


def test_the_first_prompt_that_does_not_fit_is_named() -> None:
    with pytest.raises(QuestionError, match=r"question q7: .* 7 tokens.*context of 10") as caught:
        fit_context(prompts(6, 7, 9), max_new_tokens=4, context=10)
    assert "--skip_long_prompts" in str(caught.value)


def test_long_prompts_are_left_out_only_if_asked() -> None:
    fitting, skipped = fit_context(prompts(7, 6, 9, 1), max_new_tokens=4, context=10, skip=True)
    assert [prompt.id for prompt in fitting] == ["q6", "q1"]
    assert [prompt.id for prompt in skipped] == ["q7", "q9"]
    with pytest.raises(QuestionError, match="none of the 2 prompts fits"):
        fit_context(prompts(7, 9), max_new_tokens=4, context=10, skip=True)


@pytest.mark.parametrize("max_new_tokens", [10, 11])
def test_a_cap_that_fills_the_context_is_refused(max_new_tokens: int) -> None:
    with pytest.raises(ConfigError, match="max_completion_length"):
        fit_context(prompts(1), max_new_tokens, context=10, skip=True)


# What ends an answer.


@pytest.mark.parametrize(
    ("tokenizer", "model", "expected"),
    [
        (make_tokenizer(), make_model(), "<eos>"),
        (make_tokenizer(eos=None), make_model(config_eos=ID["<eos>"]), "<eos>"),
        (make_tokenizer(eos=None), make_model(generation_eos=[ID["11"], ID["x"]]), "x 11"),
        (make_tokenizer(), make_model(ID["<eos>"], [ID["<eos>"], ID["<end>"]]), "<eos> <end>"),
        # A base model's end of text, and the end of turn that only the template knows.
        (make_tokenizer(CHAT), make_model(ID["<eos>"]), "<eos> <end>"),
        (make_tokenizer(CHAT, eos="<end>"), make_model(), "<end>"),
        # Id 0 is an id.
        (make_tokenizer(eos=None), make_model(config_eos=0), "<unk>"),
    ],
)
def test_stop_tokens(tokenizer, model, expected: str) -> None:
    assert stop_token_ids(tokenizer, model) == ids(expected)


def test_a_model_without_generation_config() -> None:
    model = SimpleNamespace(config=SimpleNamespace(eos_token_id=None))
    assert stop_token_ids(make_tokenizer(), model) == ids("<eos>")


def test_a_template_whose_turns_have_no_end_adds_none() -> None:
    template = "{% for m in messages %}{{ m.role }} {{ m.content }}\n{% endfor %}"
    assert stop_token_ids(make_tokenizer(template), make_model()) == ids("<eos>")


def test_a_template_that_drops_the_answer_adds_no_start_token() -> None:
    template = "{% for m in messages if m.role == 'user' %}<turn> {{ m.content }}{% endfor %}"
    assert stop_token_ids(make_tokenizer(template), make_model()) == ids("<eos>")


def test_no_end_token_at_all_is_an_error() -> None:
    with pytest.raises(ConfigError, match="eos_token_id"):
        stop_token_ids(make_tokenizer(eos=None), make_model())
