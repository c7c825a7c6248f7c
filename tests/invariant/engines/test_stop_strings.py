"""Stop strings: cut exactly where the text has one, and change nothing before it.

What is expected is read off the same engine's completions without stop strings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
import torch

from rlsc.engines import SamplingParams, seed_for
from rlsc.engines.hf import HFEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.types import Completion, Prompt
from tests.ascii_model import TOKENS, ascii_model, ascii_tokenizer
from tests.conftest import SPECIAL

TOKENIZER = ascii_tokenizer()
MODEL = ascii_model(seed=3)
ENGINES = {"native": NativeEngine, "hf": HFEngine}
CAP = 32
END = 0


def prompt(text: str) -> Prompt:
    return Prompt(text, text, tuple(TOKENIZER(text)["input_ids"]))


PROMPTS = [prompt(text) for text in ("What is 3?", "W", "What is 12 + 5?", "2?")]


def sample(
    engine: str,
    stops: Sequence[str] = (),
    temperature: float = 0.7,
    prompts: Sequence[Prompt] = PROMPTS,
    n: int = 6,
    done: list[int] | None = None,
    model: torch.nn.Module = MODEL,
    tokenizer=TOKENIZER,
    cap: int = CAP,
) -> list[Completion]:
    params = SamplingParams(cap, (END,), temperature, stop_strings=tuple(stops))
    groups = ENGINES[engine](model, tokenizer, torch.float32).generate(
        prompts,
        1 if temperature == 0 else n,
        params,
        [seed_for(0, one.id) for one in prompts],
        None if done is None else done.append,
    )
    return [one for group in groups for one in group.completions]


def text_of(token_ids: Sequence[int]) -> str:
    """By the vocabulary, not by the tokenizer."""
    return "".join(TOKENS[token] for token in token_ids)


def shown(text: str) -> str:
    """Without special tokens, as every completion's text is."""
    return re.sub("|".join(SPECIAL), "", text)


def cut(whole: Completion, stops: Sequence[str]) -> tuple[tuple[int, ...], str | None]:
    """The tokens up to the one that completes a stop string, and the text before it."""
    for end in range(1, len(whole.token_ids) + 1):
        text = text_of(whole.token_ids[:end])
        places = [text.find(stop) for stop in stops if stop in text]
        if places and whole.token_ids[end - 1] != END:
            return whole.token_ids[:end], text[: min(places)]
    return whole.token_ids, None


def strings_that_occur(completions: Sequence[Completion], length: int) -> list[str]:
    """From the middle of a third of them, so that some completions have one and others none."""
    texts = [one.text for one in completions[::3] if len(one.text) > 12]
    return [text[place : place + length] for place, text in enumerate(texts, start=4)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_completion_ends_with_the_token_that_completes_a_string(
    engine: str, temperature: float, length: int
) -> None:
    plain = sample(engine, temperature=temperature)
    stops = strings_that_occur(plain, length)
    stopped = 0
    for one, whole in zip(sample(engine, stops, temperature), plain, strict=True):
        token_ids, text = cut(whole, stops)
        assert one.token_ids == token_ids
        # Not bit by bit: rows that have left make the others' matrices smaller.
        assert one.logps == pytest.approx(whole.logps[: len(token_ids)], abs=1e-4)
        if text is None:
            assert (one.text, one.finish_reason) == (whole.text, whole.finish_reason)
        else:
            stopped += len(token_ids) < len(whole.token_ids)
            assert one.finish_reason == "stop"
            assert shown(one.text) == shown(text)
            assert not any(stop in one.text for stop in stops)
    assert stopped


@pytest.mark.parametrize("engine", ENGINES)
def test_special_tokens_are_no_part_of_the_text_however_it_ends(engine: str) -> None:
    plain = sample(engine, temperature=1.5, n=32)
    # Two characters that follow on a special token, so that one text at least holds one.
    found = (re.search(r"<(?:user|assistant)>([^<]{2})", text_of(c.token_ids)) for c in plain)
    stops = [next(match[1] for match in found if match)]
    with_special = 0
    for one, whole in zip(sample(engine, stops, 1.5, n=32), plain, strict=True):
        text = cut(whole, stops)[1]
        assert one.text == (whole.text if text is None else shown(text))
        with_special += text is not None and shown(text) != text
    assert with_special


PLACES = ((2, 3), (7, 1))
"""Where in a text a string is taken from, and how long it is."""


def test_native_and_hf_stop_at_the_same_token() -> None:
    plain = sample("native", temperature=0)
    for stop in sorted({one.text[at : at + length] for one in plain for at, length in PLACES}):
        native, hf = (sample(engine, [stop], temperature=0) for engine in ENGINES)
        for mine, theirs in zip(native, hf, strict=True):
            assert mine.token_ids == theirs.token_ids
            assert (mine.text, mine.finish_reason) == (theirs.text, theirs.finish_reason)
            assert mine.logps == pytest.approx(theirs.logps, abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_strings_that_never_come_change_nothing(engine: str) -> None:
    assert sample(engine, ["Problem: Zebra", "\nQuestion:"]) == sample(engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_special_token_counts_as_its_text(engine: str) -> None:
    """Such as <|im_end|>, which a base model's tokenizer does not name as an end."""
    plain = sample(engine, temperature=1.5, n=16)
    ended = [one for one in plain if 1 in one.token_ids]
    assert ended
    assert "<user>" not in "".join(one.text for one in plain)
    for one, whole in zip(sample(engine, ["<user>"], 1.5, n=16), plain, strict=True):
        if 1 in whole.token_ids:
            end = whole.token_ids.index(1) + 1
            assert one.token_ids == whole.token_ids[:end]
            assert shown(one.text) == shown(text_of(whole.token_ids[: end - 1]))
            assert one.finish_reason == "stop"
        else:  # rows that have left change the batch, and with it the rounding
            assert (one.token_ids, one.text) == (whole.token_ids, whole.text)
            assert one.finish_reason == whole.finish_reason
            assert one.logps == pytest.approx(whole.logps, abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_string_completed_at_the_cap_is_a_stop(engine: str) -> None:
    plain = sample(engine, temperature=0, prompts=PROMPTS[:1])[0]
    assert len(plain.token_ids) > 8
    stop = text_of(plain.token_ids[6:8])
    (one,) = sample(engine, [stop], 0, PROMPTS[:1], cap=8)
    assert (one.token_ids, one.finish_reason) == (plain.token_ids[:8], "stop")
    assert shown(one.text) == shown(text_of(plain.token_ids[:6]))


@pytest.mark.parametrize("engine", ENGINES)
def test_of_two_strings_that_end_together_the_longer_is_left_out(engine: str) -> None:
    texts = [text_of(one.token_ids) for one in sample(engine)]
    place = next(p for p, text in enumerate(texts) if len(text) > 12 and "<" not in text)
    text = texts[place]
    end = next(n for n in range(4, len(text)) if text[n] not in text[:n])
    stops = [text[end], text[end - 2 : end + 1]]
    for order in (stops, stops[::-1]):
        assert sample(engine, order)[place].text == text[: end - 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_half_a_string_at_the_end_stays(engine: str) -> None:
    plain = sample(engine, temperature=0, prompts=PROMPTS[:1])[0]
    stop = text_of(plain.token_ids[6:9])
    (one,) = sample(engine, [stop], 0, PROMPTS[:1], cap=8)
    assert (one.token_ids, one.finish_reason) == (plain.token_ids[:8], "length")
    assert one.text == shown(text_of(plain.token_ids[:8]))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_prompt_ends_with_is_no_part_of_an_answer(engine: str) -> None:
    """The last character of the prompt and the first of the answer make no stop string."""
    plain = sample(engine, temperature=0)
    for one, whole in zip(PROMPTS, plain, strict=True):
        stop = one.text[-1] + text_of(whole.token_ids[:1])
        token_ids, _ = cut(whole, [stop])
        (found,) = sample(engine, [stop], 0, [one])
        assert found.token_ids == token_ids


@pytest.mark.parametrize("engine", ENGINES)
def test_progress_counts_what_a_string_has_ended(engine: str) -> None:
    done: list[int] = []
    completions = sample(engine, strings_that_occur(sample(engine), 2), done=done)
    assert len({one.finish_reason for one in completions}) == 2
    assert sum(done) == len(completions) == 24


@pytest.mark.parametrize("engine", ENGINES)
def test_a_string_that_lies_across_tokens_of_several_characters(engine: str) -> None:
    """Tokens such as those of a real vocabulary: the stop begins in one and ends in another."""
    wide = ascii_tokenizer(pairs=True)
    within = 0
    for one in PROMPTS:
        (whole,) = sample(engine, (), 0, [one], tokenizer=wide)
        pieces = [wide.convert_ids_to_tokens(token) for token in whole.token_ids]
        for place in (3, 9):
            stop = "".join(pieces)[place : place + 4]
            (found,) = sample(engine, [stop], 0, [one], tokenizer=wide)
            ends = next(n for n in range(1, len(pieces) + 1) if stop in "".join(pieces[:n]))
            assert found.token_ids == whole.token_ids[:ends]
            assert shown(found.text) == shown("".join(pieces[:ends]).partition(stop)[0])
            starts = {len("".join(pieces[:n])) for n in range(len(pieces))}
            within += "".join(pieces).find(stop) not in starts
    assert within > 2
