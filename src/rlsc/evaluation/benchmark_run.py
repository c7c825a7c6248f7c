"""One model on several benchmarks: render, sample, grade, score; every row on disk as it comes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlsc.data.prompts import fit_context, format_question, render, stop_token_ids
from rlsc.data.templates import TEMPLATES, find_template
from rlsc.engines import Engine, SamplingParams
from rlsc.evaluation.benchmarks.loading import BenchmarkSet, load_benchmark, overlap, parse_names
from rlsc.evaluation.samples import References, Row, collect_samples, read_rows
from rlsc.evaluation.scores import score
from rlsc.grading import VERSION as GRADER_VERSION
from rlsc.grading import Grader
from rlsc.models.loading import context_length
from rlsc.runtime.console import make_progress
from rlsc.types import Prompt, Question

_ADVICE = ("lower --max_new_tokens", "lower --max_new_tokens or --shots")
CONTROL_TEMPERATURES = (0.0, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class Setting:
    """How a model is asked: template, temperature (0 is greedy) and samples per question."""

    template: str
    temperature: float
    samples: int

    @property
    def label(self) -> str:
        """Name of its file, e.g. ``chat-T0.5-k16``."""
        return f"{Path(self.template).name}-T{self.temperature:g}-k{self.samples}"


@dataclass(frozen=True)
class Protocol:
    """What both sides of a comparison share."""

    settings: tuple[Setting, ...]
    """The first is the one reported; the others are controls."""
    max_new_tokens: int
    seed: int
    system_prompt: str | None = None
    shots: int = 4
    top_p: float = 1.0
    top_k: int = 0
    block_rows: int = 64


def control_settings(main: Setting, samples: int, tokenizer: Any) -> tuple[Setting, ...]:
    """`main`, then every template that the tokenizer has at every control temperature."""
    templates = [*(["chat"] if getattr(tokenizer, "chat_template", None) else []), *TEMPLATES]
    if main.template not in templates:
        templates.insert(0, main.template)
    grid = [
        Setting(template, temperature, samples if temperature else 1)
        for template in templates
        for temperature in CONTROL_TEMPERATURES
    ]
    return (main, *(setting for setting in grid if setting != main))


def resolve_template(name: str, tokenizer: Any) -> str:
    """`auto` by what the tokenizer has. Raises `ConfigError` for a name that is none."""
    if name == "auto":
        return "chat" if getattr(tokenizer, "chat_template", None) else "none"
    if name != "chat":
        find_template(name)
    return name


def load_benchmarks(names: str, data_dir: str | None, limit: int) -> list[BenchmarkSet]:
    """All benchmarks of a comma list, read before any model is."""
    folder = None if data_dir is None else Path(data_dir).expanduser()
    return [load_benchmark(name, folder, limit) for name in parse_names(names)]


class BenchmarkEvaluator:
    """Asks one model all questions of all benchmarks in all settings.

    Prompts are rendered and checked against the model's context at the start.
    """

    def __init__(
        self,
        sets: Sequence[BenchmarkSet],
        protocol: Protocol,
        model: Any,
        tokenizer: Any,
        engine: Engine,
    ) -> None:
        self._sets, self._protocol = sets, protocol
        self._engine, self._tokenizer = engine, tokenizer
        self._stop_ids = stop_token_ids(tokenizer, model)
        context = context_length(model)
        self._caps: dict[tuple[str, str], int] = {}
        self._prompts: dict[tuple[str, str], list[Prompt]] = {}
        for one in sets:
            for template in dict.fromkeys(setting.template for setting in protocol.settings):
                prompts = [
                    _render(question, one, template, protocol, tokenizer)
                    for question in one.questions
                ]
                cap = _cap(prompts, protocol.max_new_tokens, context)
                fit_context(prompts, cap, context, advice=_ADVICE)
                self._caps[one.benchmark.name, template] = cap
                self._prompts[one.benchmark.name, template] = prompts

    def run(self, folder: Path, grader: Grader) -> None:
        """Write `folder`/<benchmark>/<setting>.jsonl, going on where they stop."""
        for one in self._sets:
            for setting in self._protocol.settings:
                total = len(one.questions) * setting.samples
                with make_progress("completions") as progress:
                    task = progress.add_task(f"{one.benchmark.name} {setting.label}", total=total)
                    collect_samples(
                        self._engine,
                        grader,
                        self._prompts[one.benchmark.name, setting.template],
                        references(one),
                        self._params(setting, self._caps[one.benchmark.name, setting.template]),
                        setting.samples,
                        self._protocol.seed,
                        rows_file(folder, one, setting),
                        self._protocol.block_rows,
                        functools.partial(progress.advance, task),
                        self._tokenizer,
                    )

    def _params(self, setting: Setting, cap: int) -> SamplingParams:
        protocol = self._protocol
        return SamplingParams(
            cap,
            self._stop_ids,
            setting.temperature,
            protocol.top_p,
            protocol.top_k,
            () if setting.template == "chat" else find_template(setting.template).stop_strings,
        )


def _cap(prompts: Sequence[Prompt], wanted: int, context: int | None) -> int:
    """`wanted`, or what the longest prompt leaves of the context if that is half of it or more."""
    if context is None:
        return wanted
    room = context - max(len(prompt.token_ids) for prompt in prompts)
    return room if wanted // 2 <= room < wanted else wanted


def _render(
    question: Question, one: BenchmarkSet, template: str, protocol: Protocol, tokenizer: Any
) -> Prompt:
    system = protocol.system_prompt if template == "chat" else None
    if one.kind == "choice":
        question = replace(question, text=f"{question.text}\n\n{_CHOOSE}")
    prompt = format_question(question, tokenizer, template, system, one.kind, protocol.shots)
    return render(prompt, question.id, tokenizer)


_CHOOSE = "Answer with the letter of the correct option."


def references(one: BenchmarkSet) -> References:
    """The answers of a benchmark, for grading."""
    return References(one.answers, one.kind, one.choices)


def rows_file(folder: Path, one: BenchmarkSet, setting: Setting) -> Path:
    """Where the rows of a benchmark in one setting are."""
    return folder / one.benchmark.name / f"{setting.label}.jsonl"


def summarise_benchmark(
    one: BenchmarkSet,
    settings: Sequence[Setting],
    folder: Path,
    asked_cap: int,
    trained_on: Sequence[Question],
    unreadable: Sequence[str],
) -> dict[str, Any]:
    """The score of the first setting, what a reader should distrust, and the controls' scores."""
    scores = [_scored(folder, one, setting) for setting in settings]
    shared = overlap(trained_on, one.questions)
    result = scores[0] | {
        "title": one.benchmark.title,
        "kind": one.kind,
        "source": one.source,
        "available": one.available,
        "expected": one.benchmark.n,
        "complete": one.complete,
        "benchmark_version": one.benchmark.version,
        "grader_version": GRADER_VERSION,
        "asked_max_new_tokens": asked_cap,
        "unreadable_references": list(unreadable),
        "trained_on": shared,
        "transductive": bool(shared),
    }
    if len(settings) > 1:
        result["controls"] = scores
        result["best"] = max(scores, key=lambda found: found["accuracy"])["setting"]
    return result


def _scored(folder: Path, one: BenchmarkSet, setting: Setting) -> dict[str, Any]:
    rows: list[Row] = read_rows(rows_file(folder, one, setting))
    described: Mapping[str, Any] = {
        "setting": setting.label,
        "template": setting.template,
        "temperature": setting.temperature,
        "max_new_tokens": rows[0]["max_new_tokens"],
    }
    return {**described, **score(rows)}
