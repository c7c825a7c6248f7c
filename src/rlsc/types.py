"""The nouns of the library. No torch here: anything may import this file."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Message = Mapping[str, str]
"""One chat turn, e.g. ``{"role": "user", "content": "What is 3 + 8?"}``."""

FinishReason = Literal["stop", "length"]
"""``stop``: a stop token was sampled. ``length``: the cap cut the completion off."""


@dataclass(frozen=True)
class Question:
    """A question without its answer.

    ``messages`` is the conversation that it is, if it is one; ``text`` is then what is said in it.

    >>> Question(id="arithmetic/3+8", text="What is 3 + 8?").text
    'What is 3 + 8?'
    """

    id: str
    text: str
    messages: tuple[Message, ...] = ()

    @property
    def ends_with_answer(self) -> bool:
        """Whether the last turn is the assistant's, which the model goes on with."""
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"


class AnswerKey:
    """Reference answers by question id. Only grading reads it, and objectives that need labels.

    >>> AnswerKey({"arithmetic/3+8": "11"})["arithmetic/3+8"]
    '11'
    """

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = {str(question_id): answer for question_id, answer in answers.items()}

    def __getitem__(self, question_id: str) -> str:
        return self._answers[question_id]

    def __contains__(self, question_id: object) -> bool:
        return question_id in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)


@dataclass(frozen=True)
class Prompt:
    """A question as the model reads it: text after the template, and its token ids."""

    id: str
    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class Spent:
    """What an answer took whose steps a critic judged, a rejected one sampled anew; in tokens.

    >>> Spent(sampled=30, judging=12, read=400, judged=3, rejected=1).total
    42
    """

    sampled: int = 0
    """By the solver, those of rejected steps too."""
    judging: int = 0
    """By the critic: of what it judged, as it read it, then once more as done; of its verdicts."""
    read: int = 0
    """The whole of the critic's prompts, and its verdicts."""
    judged: int = 0
    """Steps, one that was sampled anew again."""
    rejected: int = 0
    unjudged: int = 0
    """Steps that the critic could not be shown: they were kept."""

    @property
    def total(self) -> int:
        """What counts where tokens are to be equal: prompts are in it on neither side."""
        return self.sampled + self.judging


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    ``token_ids`` includes the stop token where one was sampled. ``logps`` holds one log-prob
    (nats) for each of them, under the distribution that was sampled from: temperature and
    top-p/top-k applied; for greedy decoding, temperature 1.
    """

    text: str
    token_ids: tuple[int, ...]
    logps: tuple[float, ...]
    finish_reason: FinishReason
    spent: Spent | None = None
    """Of an answer whose steps a critic judged."""


@dataclass(frozen=True)
class CompletionGroup:
    """A prompt with its K siblings: completions sampled independently from one policy."""

    prompt: Prompt
    completions: Sequence[Completion]


@dataclass(frozen=True)
class Pool:
    """Completions whose rewards are compared with each other: of one question, or of several.

    ``rewards`` holds the environment's, one for each completion of each group; None where the
    objective makes them.
    """

    name: str
    groups: Sequence[CompletionGroup]
    rewards: Sequence[Sequence[float]] | None = None

    @property
    def completions(self) -> list[Completion]:
        """Of all its groups, in order."""
        return [completion for group in self.groups for completion in group.completions]


@dataclass(frozen=True)
class Example:
    """A row of the training data: a prompt, text or messages, its id, and the same in other words.

    The paraphrase is there where the data set has a column of that name.
    """

    id: str
    prompt: str | Sequence[Message]
    paraphrase: str | Sequence[Message] | None = None


@dataclass(frozen=True)
class Ask:
    """A prompt that an environment wants ``n`` completions of.

    >>> Ask("solve/deduction/17", "f(3) = ?", n=4).policy
    'current'
    """

    id: str
    """Unique in the step."""
    prompt: str | Sequence[Message]
    n: int = 1
    max_new_tokens: int | None = None
    """At most the run's cap, which None stands for."""
    policy: Literal["current", "base"] = "current"
    """``base``: the model before training, whose completions are never trained on."""
    adapter: str = ""
    """Of an environment with `adapters`: whose this ask is, and the training on what comes of it;
    empty where `policy` is ``base``."""
    example: Example | None = None
    """The row of the data set that is asked; None in games."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion, as the stop token does: of a base model that goes on. The text
    ends before the first, its token ids with the one that completes it."""
    scored: tuple[str, ...] = ()
    """Texts to be weighed, not sampled: of each, in place of a completion, the log-probs (nats, at
    temperature 1) that the policy gives to its tokens behind the prompt. Never trained on."""


LETTERS = "ABCDEFGHIJ"
"""Of the options of a multiple-choice question, in order."""


class Verdict(enum.Enum):
    """What grading says of one completion."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TIMEOUT = "timeout"
    """Comparing it went over the limit of time or memory: neither right nor wrong is known."""


# Evaluation.

AnswerKind = Literal["math", "choice", "numeric", "python_value", "python_input"]
"""How an answer is compared: as mathematics, as an option, as a number within 1 %, as a literal of
Python, or as arguments for which a program gives the output of its `Check`."""


@dataclass(frozen=True)
class Check:
    """What an input is judged by: it is right where the program's `f` gives the output.

    >>> Check("def f(x):\\n    return x + 1", "4").output
    '4'
    """

    program: str
    output: str
    """As Python writes it."""


@dataclass(frozen=True)
class Task:
    """Questions to evaluate on: a benchmark, a user's file, built-in arithmetic, held-out ones.

    ``choices`` has the options of each multiple-choice question by id, in the order of their
    letters, ``checks`` what each `python_input` is judged by, run in ``sandbox``. ``available``
    counts the questions of ``source`` before a limit, ``expected`` those that it is known to have
    (None: any number is right). ``version`` rises when the text or the reference answer of a
    question changes. A question without an answer counts in lengths only.
    """

    name: str
    title: str
    questions: tuple[Question, ...]
    answers: AnswerKey
    kind: AnswerKind = "math"
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    sandbox: str = "auto"
    source: str = ""
    version: int = 1
    available: int = 0
    expected: int | None = None
    steps: bool = False
    """Whether its questions are steps of solutions, with ids SOLUTION/STEP, to be judged."""

    @property
    def complete(self) -> bool:
        """Whether these are all questions that there are, no fewer and no more."""
        expected = self.available if self.expected is None else self.expected
        return len(self.questions) == self.available == expected


@dataclass(frozen=True)
class Setting:
    """How a model is asked the questions of a task.

    >>> Setting(template="chat", temperature=0.5, samples=16, max_new_tokens=256).label
    'chat-T0.5-k16'
    """

    template: str
    temperature: float
    """0 is greedy."""
    samples: int
    """Completions a question."""
    max_new_tokens: int
    name: str = ""
    """Its own name; by default it is named after template, temperature and samples."""
    system_prompt: str | None = None
    shots: int = 4
    """Exemplars, where the template has some."""
    suffix: str = ""
    """What is put behind each question, such as " Answer with just the number."."""
    top_p: float = 1.0
    top_k: int = 0
    stop_strings: tuple[str, ...] = ()
    stream: str = "sampled"
    """Of random numbers: settings of one stream share them, question by question."""

    @property
    def label(self) -> str:
        """Unique within a task; the name of its file of rows."""
        plain = f"{Path(self.template).name}-T{self.temperature:g}-k{self.samples}"
        return self.name or plain


Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, as shares (not per cent); None where none can be given."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class ReliabilityBin:
    """Samples with low ≤ confidence < high (the last bin includes 1); all but `n` in [0, 1]."""

    low: float
    high: float
    n: int
    mean_confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Does exp(log-prob a token) tell right answers from wrong ones? Of `n` graded samples.

    ``auroc`` is None where all are right or none is, ``error`` (expected calibration error) where
    there is no sample.
    """

    n: int
    auroc: float | None
    error: float | None
    curve: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class StepRates:
    """How a model judges single steps of solutions: of right ones and of wrong ones, both always.

    ``right`` is the share of right steps that it calls correct, ``wrong`` that of wrong steps that
    it calls incorrect; a missing verdict is neither. ``erroneous`` and ``clean`` are of solutions
    with an error and without: whether the first step called incorrect is the first wrong one.
    """

    n_right: int
    n_wrong: int
    right: Estimate
    wrong: Estimate
    mean: float
    harmonic: float
    invalid: float
    """Answers without a verdict, as a share."""
    n_erroneous: int
    n_clean: int
    erroneous: Estimate | None
    clean: Estimate | None
    f1: float | None
    """The harmonic mean of ``erroneous`` and ``clean``."""


@dataclass(frozen=True)
class Score:
    """What one model's answers to one task in one setting come to.

    ``n`` of the ``questions`` asked have a reference answer: the accuracies are of these, and None
    where there is none. Unparsed answers and timeouts stay in every denominator, as not right.
    """

    setting: Setting
    questions: int
    n: int
    accuracy: Estimate | None
    """pass@1: the mean over questions of the share of right samples."""
    pass_at: Mapping[int, Estimate]
    """By k: the probability that one of k samples is right."""
    majority_at: Mapping[int, Estimate]
    """By k: the probability that the most frequent answer of k samples is right."""
    verdicts: Mapping[str, int]
    """Samples by `Verdict.value`, all four."""
    timeouts: tuple[str, ...]
    """Ids of questions on which comparing an answer went over its limit."""
    mean_length: float
    """Tokens a completion, as the median."""
    median_length: float
    truncation_rate: float
    boxed_rate: float
    repetition: float
    """Mean share of a completion's 4-grams of words that repeat an earlier one."""
    calibration: Calibration | None
    seconds: float
    weighted_majority_at: Mapping[int, Estimate] | None = None
    """By k, of few subsets: the same with votes that weigh what the model's confidence in the
    sample is; None: not computed then, as the next."""
    filtered_majority_at: Mapping[int, Estimate] | None = None
    """The same of the surest tenth of the k samples alone."""
    steps: StepRates | None = None
    """Of tasks that are steps of solutions to be judged."""

    @property
    def majority(self) -> Estimate | None:
        """Of all samples; None for a single one, which is no vote."""
        return self.majority_at.get(self.setting.samples) if self.setting.samples > 1 else None


@dataclass(frozen=True)
class LengthChange:
    """Mean tokens before and after, over the `n` questions that have such answers on both sides.

    ``wilcoxon_p`` is the signed-rank test's, None where no length differs. An answer that was cut
    off is longer in truth: ``cut_off_before`` and ``cut_off_after`` are their shares.
    """

    n: int
    before: float
    after: float
    difference: Estimate
    """In tokens."""
    wilcoxon_p: float | None
    cut_off_before: float
    cut_off_after: float


@dataclass(frozen=True)
class Difference:
    """After minus before, question by question, over the `n` questions with a reference answer.

    ``before`` and ``after`` name the figures that are compared: a setting's label, or
    ``LABEL majority`` for the majority of its samples. Without a reference answer all but the
    lengths is empty.
    """

    before: str
    after: str
    n: int
    accuracy: Estimate | None
    majority: Estimate | None
    """Of the majority over all samples; None where a side has a single one."""
    mcnemar_p: float | None
    """McNemar's exact test of the questions that flipped, by their majority where k > 1; None, as
    no question flips, where a mean of k is held against another number of samples."""
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    lengths: Mapping[str, LengthChange]
    """Of ``all`` answers, of ``right`` ones and of those ``not_right``; a part may be missing."""
