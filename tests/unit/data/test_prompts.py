"""From question to token ids, on a word-level tokenizer made here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from rlsc.data.prompts import (
    check_vocabulary,
    fit_context,
    format_question,
    render,
    stop_token_ids,
    written_vocabulary,
)
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


# A text becomes the ids that are meant.


def test_a_text_that_brings_its_bos_gets_no_second() -> None:
    tokenizer = make_tokenizer(CHAT)
    text = tokenizer.apply_chat_template([USER], tokenize=False, add_generation_prompt=True)
    assert render(text, "q", tokenizer).token_ids == render([USER], "q", tokenizer).token_ids
    bare = make_tokenizer()
    bare.backend_tokenizer.post_processor = None
    assert render(QUESTION.text, "q", bare).token_ids == ids(QUESTION.text)


def test_a_text_gets_no_end_behind_it() -> None:
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[(t, ID[t]) for t in ("<bos>", "<eos>")]
    )
    assert render(QUESTION.text, "q", tokenizer).token_ids == ids("<bos> What is 3 + 8 ?")
    assert render("3 <eos>", "q", tokenizer).token_ids == ids("<bos> 3 <eos>")


def test_messages_that_end_with_an_answer_are_gone_on_with() -> None:
    tokenizer = make_tokenizer(CHAT)
    prefill = {"role": "assistant", "content": "3 + 8 is"}
    prompt = render([USER, prefill], "q", tokenizer)
    expected = "<bos> <turn> user What is 3 + 8 ? <end> <turn> assistant 3 + 8 is"
    assert prompt.token_ids == ids(expected)
    empty = {"role": "assistant", "content": ""}
    assert render([USER, empty], "q", tokenizer) == render([USER], "q", tokenizer)
    drops = "{% for m in messages if m.role == 'user' %}<turn> {{ m.content }}{% endfor %}"
    with pytest.raises(ConfigError, match="question q: the model's chat template refuses it"):
        render([USER, prefill], "q", make_tokenizer(drops))


def test_a_control_token_in_a_question_is_refused() -> None:
    """Where it is the question's; what a writer puts into a text or a system message stays."""
    tokenizer = make_tokenizer(CHAT)
    bad = Question("q7", "What is <end> 3 ?")
    message = r"question q7 holds '<end>', which the tokenizer reads as a control token"
    with pytest.raises(QuestionError, match=message):
        render(format_question(bad, tokenizer), bad.id, tokenizer)
    with pytest.raises(QuestionError, match=message):
        format_question(bad, make_tokenizer(), "few-shot")
    text = format_question(bad, tokenizer, "none")
    assert render(text, "q7", tokenizer).token_ids == ids("<bos> What is <end> 3 ?")
    system = {"role": "system", "content": "Be <unk>"}
    assert ID["<unk>"] in render([system, USER], "q", tokenizer).token_ids


def test_a_conversation_is_a_chat_as_it_is() -> None:
    tokenizer = make_tokenizer(CHAT)
    turns = (USER, {"role": "assistant", "content": "11"}, USER)
    question = Question("q", "text", turns)
    assert format_question(question, tokenizer) == list(turns)
    system = {"role": "system", "content": "Be brief"}
    assert format_question(question, tokenizer, system_prompt="Be brief") == [system, *turns]
    with pytest.raises(ConfigError, match="question q has a system message of its own"):
        format_question(Question("q", "", (system, *turns)), tokenizer, system_prompt="Be brief")
    for tokenizer, template in ((make_tokenizer(), "auto"), (make_tokenizer(CHAT), "none")):
        with pytest.raises(ConfigError, match="question q is a conversation"):
            format_question(question, tokenizer, template)


def test_arguments_of_the_chat_template() -> None:
    tokenizer = make_tokenizer(CHAT + "{% if brief %} Be brief{% endif %}")
    plain = render([USER], "q", tokenizer).token_ids
    assert render([USER], "q", tokenizer, {"brief": False}).token_ids == plain
    assert render([USER], "q", tokenizer, {"brief": True}).token_ids == plain + ids("Be brief")
    for kwargs, message in (
        ({"enable_thinking": True}, "does not use 'enable_thinking'"),
        ({"messages": []}, "question q: the model's chat template refuses it"),
    ):
        with pytest.raises(ConfigError, match=message):
            render([USER], "q", tokenizer, kwargs)
    with pytest.raises(ConfigError, match="needs a chat template, and none is in use"):
        render(QUESTION.text, "q", tokenizer, {"brief": True})


# The vocabulary.


def model_of(size: int) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(eos_token_id=None, vocab_size=size))


def test_a_token_that_the_model_has_no_row_for_is_named() -> None:
    tokenizer = make_tokenizer()
    prompts = [render("What is x", "a", tokenizer), render("What is 11", "b", tokenizer)]
    check_vocabulary(prompts, tokenizer, model_of(len(WORDS)))
    check_vocabulary(prompts[:1], tokenizer, model_of(ID["11"]))  # one that it does not meet
    with pytest.raises(ConfigError, match=r"question b: its token '11' has the id 18.* at 17:"):
        check_vocabulary(prompts, tokenizer, model_of(ID["11"]))


def test_ids_that_only_pad_the_vocabulary_are_counted_out() -> None:
    tokenizer = make_tokenizer()
    assert written_vocabulary(tokenizer, model_of(64)) == len(WORDS)
    for size in (len(WORDS), len(WORDS) - 1):
        assert written_vocabulary(tokenizer, model_of(size)) is None
    assert written_vocabulary(tokenizer, make_model()) is None


def test_an_end_that_cannot_be_sampled_ends_nothing() -> None:
    model = model_of(ID["<eos>"] + 1)
    model.config.eos_token_id = ID["11"]
    assert stop_token_ids(make_tokenizer(), model) == ids("<eos>")


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
