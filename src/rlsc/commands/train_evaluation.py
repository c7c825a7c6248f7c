"""A training run's evaluations: before, between, after; its own questions and benchmarks."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlsc.config import QuestionArguments, RunConfig
from rlsc.data import QuestionSet, is_built_in, load_questions
from rlsc.engines import spread
from rlsc.environments import Environment
from rlsc.errors import ConfigError, OutputError
from rlsc.evaluation import (
    BENCHMARK_ADVICE,
    LONG_CAP,
    TERSE,
    Asked,
    Collecting,
    Side,
    benchmark_setting,
    best_ways,
    collect,
    collect_ways,
    control_settings,
    load_task,
    overlap,
    own_settings,
    prepare,
    prompts_of,
    resolve_template,
    room,
    score,
    score_side,
    task_facts,
    task_results,
    temperature_setting,
    template_ways,
    tried,
    ways,
)
from rlsc.grading import shared_grader
from rlsc.models import context_length
from rlsc.records import (
    EVALUATION,
    AnswerRow,
    CurvePoint,
    EvaluationFolder,
    TaskResults,
    TrainingFolder,
    open_folder,
    read_rows,
    rows_file,
)
from rlsc.runtime import console, from_main
from rlsc.training import ENGINE, WEIGHTS, RLSCConfig, RLSCTrainer
from rlsc.types import Question, Score, Setting, Task

BEFORE, AFTER = "before", "after"
VALIDATION = "validation"
OF_BENCHMARK = "benchmark:"
"""Before a benchmark's name, where a source of questions is named."""


@dataclass(frozen=True)
class OwnTask:
    """What a run is evaluated on, and in words how it relates to the training questions."""

    task: Task
    relation: str
    trained_on: tuple[str, ...] = ()
    """Ids of the questions that were also trained on."""
    validation: Task | None = None
    """What the untrained model's best way of being asked is chosen on."""

    @property
    def questions(self) -> tuple[Question, ...]:
        return self.task.questions

    @property
    def tasks(self) -> list[Task]:
        """All that is asked."""
        return [self.task, *([self.validation] if self.validation else [])]


def questions_of(
    config: QuestionArguments,
    source: str,
    needs_answers: bool = True,
    data_dir: str | None = None,
) -> QuestionSet:
    """Load a source of questions with a run's column and split settings.

    A column of answers that is named must be there, unless they are not looked at. Those of a
    benchmark, ``benchmark:gsm8k_train#0-320``, are read from `data_dir`, else from the Hub.
    """
    if source.startswith(OF_BENCHMARK):
        return _of_benchmark(source, data_dir)
    return load_questions(
        source,
        split=config.questions_split,
        config=config.questions_config,
        question_column=config.question_column,
        answer_column=config.answer_column,
        split_seed=config.split_seed,
        needs_answers=needs_answers,
    )


def _of_benchmark(source: str, data_dir: str | None) -> QuestionSet:
    """A benchmark's questions as a run takes them: mathematics, asked as plain text."""
    task = load_task(source.removeprefix(OF_BENCHMARK), data_dir)
    if task.kind != "math":
        raise ConfigError(
            f"{source}: its answers are of kind {task.kind}, and a run's own questions are of kind "
            "math: name it in --benchmarks"
        )
    return QuestionSet(source, task.questions, answers=task.answers)


def note_columns(config: RunConfig) -> None:
    """Say where a setting of files and Hub data sets is given, and no questions come from one.

    No error: a recipe may name the columns of the questions that others have taken the place of.
    """
    named = (config.questions, config.eval_questions, config.guard_questions)
    sources = [source for source in named if source]
    if any(not (is_built_in(source) or source.startswith(OF_BENCHMARK)) for source in sources):
        return
    for name in ("question_column", "answer_column", "questions_config"):
        if (value := getattr(config, name)) is not None:
            of = " and ".join(sources) or f"environment {config.environment}"
            console.print(f"note: {name} {value} has no effect on {of}", soft_wrap=True)


def training_questions(config: RunConfig, environment: Environment) -> QuestionSet:
    """Those of `--questions`; `--answer_column` may be of `--eval_questions` alone.

    A game has none.
    """
    source = config.questions
    if source is None or not environment.needs_rows:
        return QuestionSet(config.environment, ())
    others = config.eval_questions is not None and not is_built_in(config.eval_questions)
    needed = not others or config.eval == "none"
    return questions_of(config, source, needed, config.data_dir)


def evaluation_set(
    config: RunConfig, training: QuestionSet, benchmarks: Sequence[Task] = ()
) -> OwnTask | None:
    """`--eval_questions`, else the held-out questions, else the training questions themselves.

    Raises `ConfigError` where `--validation_questions` are among them or the benchmarks'.
    """
    if config.eval == "none" or (config.questions is None and config.eval_questions is None):
        return None
    source, questions = training, training.held_out
    relation = f"held-out questions, split seed {config.split_seed}"
    if config.eval_questions is not None:
        source = questions_of(config, config.eval_questions, data_dir=config.data_dir)
        questions, relation = source.held_out or source.train, source.name
    elif not questions:
        questions, relation = training.train, "the training questions themselves"
    asked = questions[: config.eval_limit or None]
    shared = tuple(overlap(training.train, asked))
    if shared:
        some = f"{len(shared)} of {len(asked)} also trained on: "
        part = "" if len(shared) == len(asked) else some
        relation += f" ({part}transductive)"
    task = Task(
        name=EVALUATION,
        title="the run's own evaluation",
        questions=asked,
        answers=source.answers,
        source=source.name,
        available=len(questions),
    )
    others = [
        *training.train,
        *asked,
        *(question for task in benchmarks for question in task.questions),
    ]
    return OwnTask(task, relation, shared, _validation(config, source, others))


def _validation(config: RunConfig, source: QuestionSet, others: Sequence[Question]) -> Task | None:
    """`--validation_questions`, else those that the source has; none of them are among `others`."""
    if not config.eval_baselines:
        return None
    questions, named = source.validation, config.validation_questions
    if named is not None:
        source = questions_of(config, named, data_dir=config.data_dir)
        questions = source.train
        if shared := overlap(others, questions):
            raise ConfigError(
                f"validation_questions {named}: {len(shared)} of them are trained or evaluated on, "
                f"such as {shared[0]}: name others"
            )
        if unanswered := [q.id for q in questions if q.id not in source.answers]:
            raise ConfigError(f"validation_questions {named}: {unanswered[0]} has no answer")
    if not questions:
        return None
    return Task(
        name=VALIDATION,
        title="what the untrained model's prompt is chosen on",
        questions=questions,
        answers=source.answers,
        source=source.name,
        available=len(questions),
    )


class RunEvaluation:
    """Evaluates the trainer's model as it stands, with its engine; answers go by stage.

    Prompts are rendered and checked at the start, before anything is written; but those of the
    untrained model's best way, which is chosen later, when it is.
    """

    def __init__(
        self,
        config: RunConfig,
        training: RLSCConfig,
        trainer: RLSCTrainer,
        own: OwnTask | None,
        benchmarks: Sequence[Task] = (),
        trained_on: Sequence[Question] = (),
    ) -> None:
        self._config, self._training, self._trainer = config, training, trainer
        self._own, self._trained_on = own, trained_on
        self._cap = config.eval_max_new_tokens or training.max_completion_length
        self._template = resolve_template(config.template, trainer.processing_class)
        self._standard = self._prepare_own(self._own_settings) if own else []
        self._ways = self._prepare_ways()
        self._tried: list[Score] = []
        others = config.eval_baselines and not self._ways
        self._of_base = self._prepare_own(self._base_settings()) if others else []
        self._benchmarks = [self._prepare_benchmark(task) for task in benchmarks]
        self._of_benchmarks = [asked for each in self._benchmarks for asked in each]

    @property
    def parts(self) -> dict[str, str]:
        """The prompts that are known from the start."""
        return prompts_of([*self._standard, *self._ways, *self._of_benchmarks])

    # How it is asked.

    @property
    def _own_settings(self) -> tuple[Setting, ...]:
        config, temperature = self._config, self._training.temperature
        samples, system = config.eval_samples, config.system_prompt
        return own_settings(self._template, samples, temperature, self._cap, system)

    def _base_settings(self) -> tuple[Setting, ...]:
        """The untrained model with a longer cap, and with a prompt that asks to be short."""
        if not self._standard:
            return ()
        greedy, prompts = self._own_settings[0], self._standard[0].prompts
        wanted = max(LONG_CAP, self._cap)
        left = room(prompts, context_length(self._trainer.model))
        cap = wanted if left is None else min(wanted, left)
        long_cap = replace(greedy, name="long-cap", max_new_tokens=cap)
        return long_cap, replace(greedy, name="terse-prompt", suffix=TERSE)

    def _prepare_ways(self) -> list[Asked]:
        """To ask the untrained model on validation questions, where there are some."""
        if self._own is None or self._own.validation is None:
            return []
        greedy, tokenizer = self._own_settings[0], self._trainer.processing_class
        named = self._config.validation_questions is not None
        grid = template_ways(greedy, tokenizer) if named else ways(greedy)
        return self._prepared(self._own.validation, grid, lower_cap=True)

    def _prepare_own(self, settings: Sequence[Setting], lower_cap: bool = False) -> list[Asked]:
        if self._own is None:
            return []
        skip = self._training.skip_long_prompts
        return self._prepared(self._own.task, settings, lower_cap=lower_cap, skip_long=skip)

    def _prepared(self, task: Task, settings: Sequence[Setting], **how: Any) -> list[Asked]:
        model, tokenizer = self._trainer.model, self._trainer.processing_class
        kwargs = self._training.chat_template_kwargs
        return prepare(task, settings, model, tokenizer, chat_template_kwargs=kwargs, **how)

    def _prepare_benchmark(self, task: Task) -> list[Asked]:
        config, tokenizer = self._config, self._trainer.processing_class
        main = benchmark_setting(
            resolve_template(config.benchmark_template or config.template, tokenizer),
            config.benchmark_temperature,
            config.benchmark_samples,
            self._cap,
            config.system_prompt,
        )
        settings: Sequence[Setting] = (main,)
        if config.controls:
            settings = control_settings(main, config.system_prompt, tokenizer)
        return self._prepared(task, settings, lower_cap=True, advice=BENCHMARK_ADVICE)

    # When.

    def before(self, folder: Path) -> None:
        """The untrained model, in all settings that it is asked in; benchmarks too."""
        other = self._config.base_evaluation
        if other is not None and not Path(other).expanduser().exists():
            console.print(f"note: --base_evaluation {other} is not there: the base is asked here")
        self._collect(folder, [*self._standard, *self._of_base, *self._of_benchmarks])
        self._ask_best(folder)

    def _ask_best(self, folder: Path) -> None:
        """Each way on validation questions, and the best of them on the run's own."""
        if not self._ways:
            return
        self._collect(folder, self._ways, together=True)
        self._tried = from_main(lambda: self._score_ways(folder))
        self._of_base = self._prepare_own(best_ways(self._tried), lower_cap=True)
        self._collect(folder, self._of_base)

    def _score_ways(self, folder: Path) -> list[Score]:
        """Each way at each cap, the main process's work."""
        named = self._config.validation_questions is not None
        caps = [self._cap // 4, self._cap // 2] if named else [self._cap]
        return [
            each
            for asked in self._ways
            for each in tried(asked, _rows(folder, asked), caps, shared_grader())
        ]

    def at_step(self, folder: Path) -> None:
        """The policy as it is between two updates, on the run's own questions."""
        self._collect(folder, self._standard)

    def after(self, folder: Path) -> None:
        """The tuned model."""
        self._collect(folder, [*self._standard, *self._of_benchmarks])

    def of_untrained(self, folder: Path, temperatures: Sequence[float]) -> dict[str, TaskResults]:
        """The untrained model by task, as the runs ask it, at each temperature, at its best.

        Temperatures, 0 being greedy, are of the run's own questions. Its best ways are chosen
        first, where there are validation questions, and asked on the benchmarks too.
        """
        self._ask_best(folder)
        greedy, samples = self._own_settings[0], self._config.eval_samples
        known = {asked.setting.label for asked in self._standard}
        more = [temperature_setting(greedy, samples, value) for value in temperatures]
        more = [setting for setting in more if setting.label not in known]
        asked = [*self._standard, *self._prepare_own(more), *self._of_base]
        best = [each.setting for each in self._of_base]
        by_task = [asked]
        for of in self._benchmarks:
            by_task.append([*of, *self._prepared(of[0].task, best, lower_cap=True)])
        untrained = {}
        for each in by_task:
            self._collect(folder, each)
            own = each is asked
            results = self._results(each, _side(folder, each), tried=self._tried if own else ())
            untrained[each[0].task.name] = results
        return untrained

    def _collect(self, folder: Path, everything: Sequence[Asked], together: bool = False) -> None:
        """Answers to all. `together`: of one task, and those that are sampled alike in one call."""
        trainer = self._trainer
        engine = spread(trainer.engine)

        @functools.cache
        def give_weights() -> None:  # once, and only if there is something to ask
            trainer.engine.sync(trainer.accelerator.unwrap_model(trainer.model))

        if together:
            how = replace(self._collecting(everything[0]), before_sampling=give_weights)
            collect_ways(engine, everything, folder, shared_grader(), how)
            return
        for asked in everything:
            how = replace(self._collecting(asked), before_sampling=give_weights)
            collect(engine, asked, folder, shared_grader(), how)

    def _collecting(self, asked: Asked) -> Collecting:
        config, training, trainer = self._config, self._training, self._trainer
        step = trainer.state.global_step
        origin = {
            "step": step,
            "model": [trainer.identity[WEIGHTS], config.model_dtype],
            "engine": [training.engine, str(training.autocast_dtype)],
        }
        if ENGINE in trainer.identity:  # as its source was when it was loaded
            origin[ENGINE] = trainer.identity[ENGINE]
        seed = training.seed if config.eval_seed is None else config.eval_seed
        return Collecting(
            seed,
            origin,
            4 * training.rollout_batch_size,
            trainer.processing_class,
            every_token=asked.task.name == VALIDATION,
            begin_anew=True,
            # Another run's are the same model's only before training.
            shared=untrained_answers(config) if not step else None,
        )

    # What came of it.

    def own_results(self, folder: TrainingFolder) -> TaskResults | None:
        """Of the run's own questions: before, after, and the untrained model at its best."""
        if not self._standard:
            return None
        base = _side(folder.stage(BEFORE), [*self._standard, *self._of_base])
        tuned = _side(folder.stage(AFTER), self._standard)
        return self._results(self._standard, tuned, base, self._tried)

    def benchmark_results(self, folder: TrainingFolder) -> dict[str, TaskResults]:
        """By benchmark: scores before and after, and their paired differences."""
        return {
            asked[0].task.name: self._results(
                asked, _side(folder.stage(AFTER), asked), _side(folder.stage(BEFORE), asked)
            )
            for asked in self._benchmarks
        }

    def curve(self, folder: TrainingFolder, steps: int, kept: int) -> tuple[CurvePoint, ...]:
        """The run's own scores by step, from the untrained model on; `after` is of `kept`."""
        every = int(self._trainer.args.eval_steps or 0)
        stages = {step: f"step-{step}" for step in range(every, steps, every)} if every else {}
        stages |= {0: BEFORE, kept: AFTER} if kept else {0: BEFORE}
        points = []
        for step, stage in sorted(stages.items()):
            scores = [self._stored_score(folder.stage(stage), asked) for asked in self._standard]
            if scores and None not in scores:  # with --eval none there are none
                points.append(CurvePoint(step, tuple(each for each in scores if each)))
        return tuple(points)

    def _stored_score(self, folder: Path, asked: Asked) -> Score | None:
        """None where the run was not evaluated at this stage, or not to the end."""
        rows = _rows(folder, asked)
        if len(rows) < len(asked.prompts) * asked.setting.samples:
            return None
        return score(rows, asked.setting)

    def _results(
        self,
        asked: Sequence[Asked],
        tuned: Side,
        base: Side | None = None,
        tried: Sequence[Score] = (),
    ) -> TaskResults:
        task = asked[0].task
        own = self._own if self._own and task is self._own.task else None
        shared = own.trained_on if own else overlap(self._trained_on, task.questions)
        relation, skipped = own.relation if own else "", asked[0].skipped
        grader, cap = shared_grader(), self._cap
        facts = task_facts(task, cap, shared, grader, relation=relation, skipped=skipped)
        also = [each.setting.label for each in asked[1:]] if own else []
        return task_results(facts, tuned, base, also, tried)


def _rows(folder: Path, asked: Asked) -> list[AnswerRow]:
    return read_rows(rows_file(folder, asked.task.name, asked.setting.label))


def _side(folder: Path, asked: Sequence[Asked]) -> Side:
    task = asked[0].task
    references = task.answers if task.steps else None
    return score_side(folder, task.name, [each.setting for each in asked], references)


def untrained_answers(config: RunConfig) -> Path | None:
    """Where the answers of `--base_evaluation`'s untrained model lie.

    Raises `OutputError` for a folder that holds no run, or one of another version.
    """
    if config.base_evaluation is None or not Path(config.base_evaluation).exists():
        return None  # a run may be made before the one that it would take answers from
    try:
        folder = open_folder(Path(config.base_evaluation))
    except OutputError as error:
        raise OutputError(f"--base_evaluation: {error}") from error
    if isinstance(folder, EvaluationFolder):
        return folder.samples
    return folder.stage(BEFORE) if isinstance(folder, TrainingFolder) else None


class EvaluateBetween(TrainerCallback):
    """`--eval_steps`: the run's own evaluation every so many updates, but for the last."""

    def __init__(self, evaluation: RunEvaluation, folder: TrainingFolder) -> None:
        self._evaluation, self._folder = evaluation, folder
        self.seconds = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every, step = int(args.eval_steps or 0), state.global_step
        if every and not step % every and step < state.max_steps:
            start = time.perf_counter()
            self._evaluation.at_step(self._folder.stage(f"step-{step}"))
            self.seconds += time.perf_counter() - start
