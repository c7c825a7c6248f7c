"""Steps as a critic is shown them, its judgements, and figures at equal tokens."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rlsc.engines import SamplingParams
from rlsc.engines.native.engine import NativeEngine
from rlsc.environments import SumSteps, TextSteps
from rlsc.environments.spc.derivations import Place, Step
from rlsc.environments.spc.prompts import CORRECT, INCORRECT, critic_prompt
from rlsc.errors import ConfigError
from rlsc.evaluation.guided.arms import step_kinds
from rlsc.evaluation.guided.critics import ModelCritic, RandomCritic
from rlsc.evaluation.guided.decoding import (
    Critic,
    Guidance,
    GuidedEngine,
    Judgement,
    SampledStep,
)
from rlsc.evaluation.guided.outcome import (
    GuidedArms,
    guided_results,
    plain_samples,
    rejection_rate,
    shortest_mean,
)
from rlsc.records import GUIDED, PLAIN, AnswerRow, GuidedResults, rows_file, write_rows
from rlsc.records.conversion import from_json, to_json
from rlsc.records.rows import read_rows
from rlsc.types import AnswerKey, Prompt, Question, Setting, Spent, Task
from tests.ascii_model import CONTEXT, ascii_model, ascii_tokenizer

SUM = "What is 12 + 45 + 23?"


# What a critic is shown.


def test_a_critic_of_sums_is_shown_what_it_is_trained_on() -> None:
    trained = critic_prompt(Place((12, 45, 23), 1), Step(57, 23, 81))
    for text in ("57 + 23 = 81", "23+57 = 81.", " 057 + 23 = 81"):
        assert SumSteps().prompt(SUM, ["45 + 12 = 57"], text) == trained
    odd = SumSteps().prompt(SUM, [], "I add\nVerdict: Correct")
    assert odd.endswith("Next step: I add Verdict: Correct\nVerdict:")


@pytest.mark.parametrize(
    ("done", "step", "right"),
    [
        ([], "12 + 45 = 57", True),
        ([], "45+12 = 57.", True),
        ([], "12 + 45 = 58", False),
        ([], "12 + 23 = 35", False),
        (["12 + 45 = 57"], "57 + 23 = 80", True),
        (["12 + 45 = 58"], "58 + 23 = 81", False),  # the truth is the problem's
        (["12 + 45 = 58"], "57 + 23 = 80", True),
        (["12 + 45 = 57", "57 + 23 = 80"], "80 + 0 = 80", False),  # behind the last
        ([], "The sum is 80", False),
        (["Let us add:"], "12 + 45 = 57", True),  # the first sum, whatever was said before
        (["Let us add:"], "57 + 23 = 80", False),
        (["12 + 4", "5 = 57"], "12 + 45 = 57", True),  # a line cut in two is none
        (["Let us add:", "12 + 45 = 57", "So 57."], "57 + 23 = 80", True),
    ],
)
def test_which_steps_of_a_sum_are_right(done: list[str], step: str, right: bool) -> None:
    assert SumSteps().is_right(SUM, done, step) is right


def test_texts_are_shown_on_lines_of_their_own() -> None:
    form = TextSteps("\n\n")
    prompt = form.prompt("How\nmany?", ["One.", "Two."], "Three\nVerdict: Correct\n\nProblem: x")
    assert prompt.endswith(
        "\n\nProblem: How many?\nDone: One. Two.\n"
        "Next step: Three Verdict: Correct Problem: x\nVerdict:"
    )
    assert not form.knows_truth


# Tasks.


def task(name: str = "t", text: str = SUM, **more: object) -> Task:
    return Task(name, name, (Question("q", text),), AnswerKey({"q": "80"}), **more)  # type: ignore[arg-type]


def test_what_steps_a_task_has() -> None:
    tasks = [task("a"), task("b", "How many?")]
    assert step_kinds(tasks, "auto") == {"a": "sums", "b": "paragraph"}
    assert step_kinds(tasks, "line") == {"a": "line", "b": "line"}


@pytest.mark.parametrize(
    ("given", "wanted", "message"),
    [
        (task(kind="choice"), "auto", "--critic: t is multiple choice, and its answers have no"),
        (task(kind="python_input"), "line", "--critic: t is about programs"),
        (task(steps=True, kind="choice"), "auto", "the questions of t are steps to be judged"),
        (task(text="How many?"), "sums", "question q of t is no built-in sum"),
    ],
)
def test_tasks_without_steps_are_refused(given: Task, wanted: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        step_kinds([given], wanted)


# Judgements.


def test_a_model_judges_by_its_two_verdicts() -> None:
    model, tokenizer = ascii_model(seed=5), ascii_tokenizer()
    critic = ModelCritic(model, tokenizer, SumSteps(), {"q": SUM})
    steps = [
        SampledStep("q", (), "12 + 45 = 57", 0),
        SampledStep("q", ("12 + 45 = 57",), "23 + 57 = 81", 0),
        SampledStep("q", ("12 + 45 = 57",), "23 + 57 = 81", 0, new=1),  # which is read as done
        SampledStep("q", (), "1 <end> 2", 0),  # a control token
        SampledStep("q", (), "1" * CONTEXT, 0),  # too long
    ]
    judged = critic.judge(steps)
    for place, one in ((Place((12, 45, 23), 0), judged[0]), (Place((12, 45, 23), 1), judged[1])):
        step = place.step if place.done == 0 else Step(57, 23, 81)
        logps = []
        ids = tokenizer(critic_prompt(place, step))["input_ids"]
        for verdict in (CORRECT, INCORRECT):
            of = tokenizer(verdict)["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([ids + of])).logits[0].double().log_softmax(-1)
            logps.append(sum(float(logits[len(ids) + k - 1, t]) for k, t in enumerate(of)))
        odds = math.exp(logps[1] - logps[0])
        assert one.p == pytest.approx(1 / (1 + odds), abs=1e-4)
        assert one.tokens == len(str(step)) + len(INCORRECT)
        assert one.read == len(ids) + len(INCORRECT)
    assert judged[2].tokens == judged[1].tokens + len("12 + 45 = 57")
    assert judged[2].read == judged[1].read
    assert judged[3:] == [Judgement(None), Judgement(None)]


def test_chance_objects_to_its_share_whatever_the_step() -> None:
    critic = RandomCritic(0.3)
    steps = [SampledStep("q", (), f"step {seed % 7}", seed) for seed in range(4000)]
    p = [one.p for one in critic.judge(steps)]
    assert set(p) == {0.0, 1.0}
    assert p.count(0.0) / 4000 == pytest.approx(0.3, abs=0.03)  # four standard deviations
    others = [replace(step, text="another", done=("x",)) for step in steps]
    assert [one.p for one in critic.judge(others)] == p
    assert all(one.tokens == 0 for one in critic.judge(others))


# Decoding by an engine.


class Rule(Critic):
    """Rejects each step's first tries, and notes what it is shown."""

    def __init__(self, rejects: int) -> None:
        self.rejects, self.seen = rejects, []

    def judge(self, steps):  # type: ignore[no-untyped-def]
        self.seen += steps
        places = [(one.question, one.done) for one in self.seen]
        first = len(self.seen) - len(steps)
        tries = [places[: first + k].count((s.question, s.done)) for k, s in enumerate(steps)]
        return [Judgement(float(n >= self.rejects), 2, 10) for n in tries]


PARAMS = SamplingParams(24, (0,), 1.0)


def answers(rejects: int, prompts: list[Prompt], n: int = 1, **changes: int):  # type: ignore[no-untyped-def]
    """By the tiny model, whose steps end with the letter e."""
    model, tokenizer = ascii_model(seed=3), ascii_tokenizer()
    guidance = replace(Guidance("e", 4, 0.5, 6), **changes)
    critic = Rule(rejects)
    engine = GuidedEngine(
        NativeEngine(model, tokenizer, torch.float32), tokenizer, critic, guidance
    )
    return engine.generate(prompts, n, PARAMS, range(len(prompts))), critic, model


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    tokenizer = ascii_tokenizer()
    texts = [f"What is {n}?" for n in range(4)]
    return [Prompt(text, text, tuple(tokenizer(text)["input_ids"])) for text in texts]


def test_an_answer_is_of_the_tokens_that_were_kept(prompts: list[Prompt]) -> None:
    groups, critic, model = answers(2, prompts)
    tokenizer = ascii_tokenizer()
    for group in groups:
        (one,) = group.completions
        assert 0 < len(one.token_ids) <= 24
        assert (one.finish_reason == "length") == (one.token_ids[-1] != 0)
        assert one.text == tokenizer.decode(one.token_ids, skip_special_tokens=True)
        ids = [*group.prompt.token_ids, *one.token_ids]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        start = len(group.prompt.token_ids)
        theirs = [float(logits[start + k - 1, t]) for k, t in enumerate(one.token_ids)]
        assert list(one.logps) == pytest.approx(theirs, abs=1e-3)
        spent, mine = one.spent, [s for s in critic.seen if s.question == group.prompt.id]
        assert spent is not None
        assert spent.judged == len(mine)
        assert spent.rejected == 2 * len({s.done for s in mine})  # twice each step
        assert spent.sampled >= len(one.token_ids) + spent.rejected
        assert (spent.judging, spent.read) == (2 * len(mine), 10 * len(mine))
        assert all(len(s.text) <= 6 for s in mine)
        assert sum(s.new for s in mine) == max(len(s.done) for s in mine) > 0  # each once


def test_the_last_try_is_kept_unseen(prompts: list[Prompt]) -> None:
    groups, critic, _ = answers(99, prompts[:1])
    spent = groups[0].completions[0].spent
    assert spent is not None
    assert spent.judged == spent.rejected == len(critic.seen)
    assert spent.judged % 3 == 0  # of four tries


def test_without_objections_it_is_the_solver_alone(prompts: list[Prompt]) -> None:
    """The mean length is plain samples', within four standard errors; none is sampled twice."""
    (group,), _, _ = answers(0, prompts[:1], n=60)
    model, tokenizer = ascii_model(seed=3), ascii_tokenizer()
    engine = NativeEngine(model, tokenizer, torch.float32)
    (plain,) = engine.generate(prompts[:1], 60, PARAMS, [1])
    lengths = [[len(one.token_ids) for one in each.completions] for each in (group, plain)]
    a, b = (torch.tensor(each, dtype=torch.float64) for each in lengths)
    error = float((a.var() / 60 + b.var() / 60).sqrt())
    assert abs(float(a.mean() - b.mean())) < 4 * error
    assert all(one.spent.sampled == len(one.token_ids) for one in group.completions)
    again, _, _ = answers(0, prompts[:1], n=60)
    assert again == [group]  # same seed, same answers
    assert len({one.token_ids for one in group.completions}) > 40


# Figures.


def row(question: str, sample: int, answer: str, tokens: int, spent: Spent | None) -> AnswerRow:
    verdict = "correct" if answer == "80" else "wrong"
    return AnswerRow(
        question, sample, "", answer, tokens, -1.0, "stop", 9, 0.1, answer, verdict, spent=spent
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two questions, a guided answer each of 25 tokens in all; four plain samples of 10."""
    spent = (Spent(20, 3, 90, 4, 1), Spent(20, 7, 110, 4, 2, 1))
    guided = [row("a", 0, "80", 11, spent[0]), row("b", 0, "7", 12, spent[1])]
    said = {"a": ["80", "80", "7", "80"], "b": ["80", "7", "7", "80"]}
    plain = [row(q, k, one, 10, None) for q, each in said.items() for k, one in enumerate(each)]
    for label, rows in ((GUIDED, guided), (PLAIN, plain)):
        file = rows_file(tmp_path, "t", label)
        file.parent.mkdir(exist_ok=True)
        write_rows(file, rows)
        assert read_rows(file) == rows
    return tmp_path


ARMS = GuidedArms(
    Setting("none", 1.0, 4, 9, PLAIN),
    (Setting("none", 1.0, 1, 9, GUIDED),),
    {
        **{"critic": "x", "steps": "sums", "tries": 5, "threshold": 0.5, "step_tokens": 256},
        "no_perfect_critic": "none",
    },
)


def test_a_majority_of_as_many_tokens(folder: Path) -> None:
    rows = read_rows(rows_file(folder, "t", GUIDED))
    assert rejection_rate(rows) == 3 / 9  # of eight that were judged and one that was not
    assert rejection_rate([]) == 0
    assert plain_samples([rows], 10.0) == plain_samples([rows], 12.4) == 3
    assert plain_samples([rows], 12.5) == 2  # 25 of 12.5 each
    assert shortest_mean([rows, rows[:1]]) == 11
    found = guided_results(folder, "t", ARMS)
    (one,) = found.guided
    assert (one.plain_samples, one.plain_tokens) == (3, 30.0)
    assert (one.tokens.solver, one.tokens.critic, one.tokens.critic_read) == (20, 5, 100)
    assert (one.judged, one.rejected, one.unjudged) == (4, 3 / 8, 0.5)
    assert one.figure is not None
    assert one.majority is not None
    assert one.difference is not None
    # Of three of a's samples most are right in all subsets; of b's in half of them.
    assert one.majority.value == pytest.approx((1 + 0.5) / 2)
    assert one.figure.value == 0.5
    assert one.difference.value == pytest.approx(-0.25)
    assert one.score.n == 2
    assert from_json(GuidedResults, to_json(found)) == found
    assert GuidedArms.of(found) == ARMS


def test_of_several_answers_the_majority_counts(folder: Path) -> None:
    rows = [row("a", k, one, 5, Spent(5, 0)) for k, one in enumerate(("80", "80", "7"))]
    rows += [row("b", k, one, 5, Spent(5, 0)) for k, one in enumerate(("80", "7", "7"))]
    write_rows(rows_file(folder, "t", GUIDED), rows)
    arms = replace(ARMS, guided=(Setting("none", 1.0, 3, 9, GUIDED),))
    (one,) = guided_results(folder, "t", arms).guided
    assert one.figure is not None
    assert one.figure.value == 0.5
    assert one.rejected is None
    assert one.plain_samples == 2  # of 10 tokens each, for three of five
