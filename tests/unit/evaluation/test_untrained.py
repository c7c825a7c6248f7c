"""The untrained model at its best: the grid, a cap that cuts, the choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rlsc.evaluation import untrained
from rlsc.evaluation.asking import Asked
from rlsc.evaluation.settings import own_settings
from rlsc.evaluation.untrained import LONG_CAP, VOTES, best_ways, template_ways, tried, ways
from rlsc.grading import Grader
from rlsc.records import AnswerRow
from rlsc.types import AnswerKey, Estimate, Question, Setting, Task
from tests.ascii_model import ascii_tokenizer

GREEDY = own_settings("chat", 1, 0.5, 8, "Be kind.")[0]
TASK = Task("validation", "", (Question("a", "What is 1 + 1?"),), AnswerKey({"a": "2"}))


def row(text: str, *, ends: list[int] | None, verdict: str = "correct") -> AnswerRow:
    return AnswerRow(
        id="a",
        sample=0,
        prompt="",
        text=text,
        tokens=len(ends or text.split()),
        logprob=-1.0,
        finish_reason="stop",
        max_new_tokens=LONG_CAP,
        seconds=0.0,
        verdict=verdict,
        token_ends=ends,
    )


def asked(setting: Setting) -> Asked:
    return Asked(TASK, setting, (), (), None)  # type: ignore[arg-type]


def test_every_prompt_at_every_temperature_with_the_longer_cap() -> None:
    grid = ways(GREEDY)
    assert len({setting.label for setting in grid}) == len(grid) == 8
    assert {setting.temperature for setting in grid} == {0.0, 0.5}
    assert {(s.max_new_tokens, s.samples) for s in grid} == {(24, 1)}
    assert {s.template for s in grid if s.system_prompt is None} == {"four-sums"}
    for cap, longer in ((100, LONG_CAP), (999, 999)):
        assert {s.max_new_tokens for s in ways(replace(GREEDY, max_new_tokens=cap))} == {longer}


def test_a_shorter_cap_cuts_the_same_answers() -> None:
    """Right at the end only; or right at first, and then wrong."""
    setting = ways(GREEDY)[0]
    late = row("It is 1 plus 1, so 2", ends=[2, 5, 7, 12, 14, 15, 18, 20])
    early = row("2 or 3", ends=[1, 4, 6], verdict="wrong")
    with Grader(1) as grader:
        for answer, cap, expected in ((late, 7, 0.0), (late, 8, 1.0), (early, 1, 1.0)):
            whole, *cut = tried(asked(setting), [answer], [cap], grader)
            assert whole.setting == setting
            (shorter,) = cut
            assert shorter.setting == replace(setting, max_new_tokens=cap)
            assert shorter.accuracy is not None
            assert shorter.accuracy.value == expected
            assert shorter.mean_length == min(answer.tokens, cap)
            assert shorter.truncation_rate == float(answer.tokens > cap)


def test_where_tokens_have_no_place_in_the_text_only_the_longer_cap_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [replace(row("2", ends=None), tokens=9), row("2", ends=[1])]
    with Grader(1) as grader:
        assert len(list(tried(asked(ways(GREEDY)[0]), rows, [8], grader))) == 1
    said = capsys.readouterr().out
    assert "note: as-trained-T0 is not tried with a cap of 8: of 1 of its 2 answers" in said


def test_answers_that_are_empty_or_short_enough_lose_no_cap(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [row("", ends=[], verdict="unparsed"), row("so 2", ends=None), row("it is 2", ends=[1])]
    with Grader(1) as grader:
        _, shorter = tried(asked(ways(GREEDY)[0]), rows, [8], grader)
    assert shorter.accuracy is not None
    assert shorter.accuracy.value == 2 / 3
    assert not capsys.readouterr().out


def test_every_template_at_every_temperature_with_the_cap_of_training() -> None:
    grid = template_ways(GREEDY, ascii_tokenizer())
    assert len({setting.label for setting in grid}) == len(grid) == 15
    assert {setting.template for setting in grid} == {
        *("chat", "qwen2.5-math", "evalchemy", "none", "few-shot")
    }
    kinds = {(s.temperature, s.samples, s.max_new_tokens) for s in grid}
    assert kinds == {(0.0, 1, 8), (0.5, VOTES, 8), (1.0, VOTES, 8)}
    assert {s.system_prompt for s in grid if s.template == "chat"} == {"Be kind."}
    assert {s.system_prompt for s in grid if s.template != "chat"} == {None}
    assert all(s.stop_strings for s in grid if s.template == "few-shot")
    without = template_ways(replace(GREEDY, template="none"), ascii_tokenizer(chat=False))
    assert "chat" not in {setting.template for setting in without}


def test_several_caps_cut_every_sample_and_its_log_prob() -> None:
    setting = replace(GREEDY, temperature=1.0, samples=2, max_new_tokens=8)
    first = replace(row("2 or 3", ends=[1, 4, 6]), token_logps=[-0.25, -1.0, -2.0])
    rows = [first, replace(row("3 or 2", ends=[1, 4, 6]), sample=1)]
    with Grader(1) as grader:
        whole, two, one, *none = tried(asked(setting), rows, [2, 1, 8, 0], grader)
    assert not none
    caps = [each.setting.max_new_tokens for each in (whole, two, one)]
    assert caps == [8, 2, 1]
    assert one.accuracy is not None
    assert one.accuracy.value == 0.5  # "2" and "3"
    assert one.truncation_rate == 1.0
    assert one.mean_length == 1.0
    cut = untrained._cut(first, 2)
    assert cut.logprob == -1.25
    assert list(cut.token_ends or ()) == [1, 4]


def test_the_most_accurate_is_chosen_and_of_equals_the_shortest() -> None:
    with Grader(1) as grader:
        terse, long = (
            next(tried(asked(setting), [row(text, ends=None)], [8], grader))
            for setting, text in zip(ways(GREEDY), ("it is 2", "it is surely 2"), strict=False)
        )
    assert terse.accuracy == long.accuracy
    assert best_ways([long, terse]) == [replace(terse.setting, name="untrained-best")]
    worse = replace(terse, accuracy=replace(terse.accuracy, value=0.0))
    assert best_ways([worse, long]) == [replace(long.setting, name="untrained-best")]
    assert best_ways([replace(terse, accuracy=None)]) == []


def test_the_best_majority_is_a_way_of_its_own_unless_it_is_the_same() -> None:
    share = Estimate(0.5)
    sampled = replace(GREEDY, name="s", temperature=1.0, samples=8)
    with Grader(1) as grader:
        (known,) = tried(asked(GREEDY), [row("2", ends=None)], [], grader)
    alone = replace(known, accuracy=replace(share, value=0.6))
    voting = replace(known, setting=sampled, accuracy=share, majority_at={8: Estimate(0.7)})
    assert best_ways([alone, voting]) == [
        replace(GREEDY, name="untrained-best"),
        replace(sampled, name="untrained-best-vote"),
    ]
    both = replace(voting, accuracy=Estimate(0.9))
    assert best_ways([alone, both]) == [replace(sampled, name="untrained-best")]


@pytest.mark.parametrize("kind", ["single_digit", "two_digit", "three_terms"])
def test_validation_questions_are_nobody_elses(kind: str) -> None:
    from rlsc.data.questions import arithmetic

    questions = arithmetic(kind)
    others = {q.id.removeprefix("arithmetic/") for q in questions.train + questions.held_out}
    ours = {q.id.removeprefix("arithmetic/") for q in questions.validation}
    unordered = [{tuple(sorted(one.split("+"))) for one in part} for part in (others, ours)]
    assert not unordered[0] & unordered[1]
    assert bool(ours) == (kind == "two_digit")
    assert all(q.id in questions.answers for q in questions.validation)
