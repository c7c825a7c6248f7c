"""Who judges the steps: a model, chance, or the truth where it is known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from rlsc.data import render, written_vocabulary
from rlsc.environments import CORRECT, INCORRECT, StepForm, p_correct
from rlsc.errors import QuestionError
from rlsc.evaluation.guided.decoding import Critic, Judgement, SampledStep
from rlsc.logprobs import Layout, Scorer, score_texts, supported_layout
from rlsc.models import context_length
from rlsc.types import Prompt


class ModelCritic(Critic):
    """By the log-probs of its two verdicts, behind the prompt that a critic is trained by.

    `questions` are the texts by id. A step is not judged whose prompt is too long for the model, or
    would have a control token in its middle.
    """

    def __init__(
        self, model: Any, tokenizer: Any, form: StepForm, questions: Mapping[str, str]
    ) -> None:
        layout, _ = supported_layout(model, Layout(vocabulary=written_vocabulary(tokenizer, model)))
        self._scorer, self._tokenizer = Scorer(model, layout), tokenizer
        self._form, self._questions = form, questions
        ids = [self._ids(verdict) for verdict in (CORRECT, INCORRECT)]
        self._verdict_tokens = max(map(len, ids))
        context = context_length(model)
        self._room = None if context is None else context - self._verdict_tokens

    def judge(self, steps: Sequence[SampledStep]) -> list[Judgement]:
        prompts = {n: prompt for n, step in enumerate(steps) if (prompt := self._prompt(step))}
        groups = score_texts(
            self._scorer,
            self._tokenizer,
            list(prompts.values()),
            [(CORRECT, INCORRECT)] * len(prompts),
        )
        judged = [Judgement(None)] * len(steps)
        for n, group in zip(prompts, groups, strict=True):
            question = self._questions[steps[n].question]
            step = steps[n]
            read = [self._form.shown(question, step.done, step.text)]
            # A kept step moves from `Next step` to `Done`, where no cache has it yet.
            for k in range(len(step.done) - step.new, len(step.done)):
                read.append(self._form.shown(question, step.done[:k], step.done[k]))
            judged[n] = Judgement(
                p_correct(*(sum(completion.logps) for completion in group.completions)),
                sum(len(self._ids(text)) for text in read) + self._verdict_tokens,
                len(group.prompt.token_ids) + self._verdict_tokens,
            )
        return judged

    def _prompt(self, step: SampledStep) -> Prompt | None:
        question = self._questions[step.question]
        text = self._form.prompt(question, step.done, step.text)
        try:
            prompt = render(text, step.question, self._tokenizer)
        except QuestionError:  # half a character, of a token that is no text by itself
            return None
        special = set(self._tokenizer.all_special_ids)
        if special.intersection(prompt.token_ids[1:]):
            return None
        return prompt if self._room is None or len(prompt.token_ids) <= self._room else None

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


class RandomCritic(Critic):
    """Objects to a share of all steps, whatever they are. Its judgements cost no tokens."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def judge(self, steps: Sequence[SampledStep]) -> list[Judgement]:
        return [
            Judgement(float(random.Random(f"critic/{step.seed}").random() >= self._rate))
            for step in steps
        ]


class PerfectCritic(Critic):
    """Objects to wrong steps alone: for tasks of whose steps the truth is known. Likewise free."""

    def __init__(self, form: StepForm, questions: Mapping[str, str]) -> None:
        self._form, self._questions = form, questions

    def judge(self, steps: Sequence[SampledStep]) -> list[Judgement]:
        return [
            Judgement(
                float(self._form.is_right(self._questions[step.question], step.done, step.text))
            )
            for step in steps
        ]
