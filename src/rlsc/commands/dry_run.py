"""`rlsc train --dry_run`: everything but the weights. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rlsc.commands.arguments import resolved
from rlsc.commands.finished import is_complete
from rlsc.commands.train import (
    check_merge_to,
    check_together,
    game_prompts,
    prompt_row,
    prompt_rows,
    read_given,
)
from rlsc.config import RunConfig
from rlsc.data import QuestionSet, check_vocabulary, fit_context, render, rows_of
from rlsc.engines import engine_class, resolve_engine
from rlsc.environments import create_environment
from rlsc.errors import ConfigError, ModelError, RLSCError
from rlsc.models import (
    adapter_config,
    context_length,
    empty_model,
    policy_config,
    policy_tokenizer,
    with_adapter,
)
from rlsc.objectives import create_objective
from rlsc.planning import show, this_device
from rlsc.records import TrainingFolder, check_same
from rlsc.runtime import console
from rlsc.training import (
    RLSCConfig,
    RLSCTrainer,
    check_processes,
    examples_of,
    given_pairs,
    naming_the_optimizer,
    probe_prompts,
    render_all,
    sampling_of,
    supervised_groups,
    supervised_rows,
)
from rlsc.types import Prompt


def dry_run(config: RunConfig, training: RLSCConfig) -> None:
    """Check what `run` checks, in its order, and print the plan.

    Raises `RLSCError` for input that cannot work. What only the weights tell (a damaged file, a
    forward that an engine does not know) is not found out.
    """
    check_together(config, training)
    settings = resolved(config, training)
    folder = TrainingFolder(Path(training.output_dir))
    folder.check(settings, config.resume, config.overwrite)
    given = read_given(config, training)
    check_merge_to(config, training.output_dir)
    questions, evaluated = given.questions, given.own
    if config.resume and folder.holds_run:
        check_same(folder.path, given.parts, "--resume")
    model_config, origin = policy_config(config)
    tokenizer = policy_tokenizer(config)
    model = empty_model(model_config, getattr(torch, config.model_dtype))
    try:
        model, prompts = _check_training(config, training, questions, model, tokenizer)
    except RLSCError:
        raise
    except (ImportError, RuntimeError, ValueError) as error:  # such as layers that there are not
        raise ConfigError(" ".join(str(error).split())) from error
    if evaluated:
        rows = [prompt_row(config, question, tokenizer) for question in evaluated.questions]
        cap = config.eval_max_new_tokens or training.max_completion_length
        kwargs = training.chat_template_kwargs
        rendered = [render(row["prompt"], row["id"], tokenizer, kwargs) for row in rows]
        check_vocabulary(rendered, tokenizer, model)
        fit_context(rendered, cap, context_length(model), training.skip_long_prompts)
    rows = [prompt_row(config, question, tokenizer) for question in given.probe]
    probe_prompts(rows, model, tokenizer, training)
    complete = config.resume and is_complete(folder, training.max_steps)
    state = "holds a finished run" if complete else "can be written"
    relation = evaluated.relation if evaluated else "no questions"
    of_game = f"environment {questions.name}" if config.questions is None else ""
    for name, text in [
        ("model", origin),
        (
            "data",
            f"{of_game or f'{questions.name}: {len(prompts)} questions'}; evaluated on {relation}; "
            f"the guard asks {given.probed}",
        ),
        *_shown(prompts, bool(of_game)),
        *given.machine.items(),
        ("engine", _engine(training, model)),
        ("folder", f"{training.output_dir} {state}; nothing is"),
    ]:
        console.print(f"{name:<8}{text}", soft_wrap=True, markup=False, highlight=False)
    longest = max((len(prompt.token_ids) for prompt in prompts), default=1)
    show(config, training, model_config, this_device(training), longest)
    console.print("dry run: all input is in order; no weights were loaded")


def _shown(prompts: Sequence[Prompt], of_game: bool) -> list[tuple[str, str]]:
    """The first question's prompt; of a game one of each role and kind, with their names."""
    if not of_game:
        return [("prompt", repr(prompts[0].text))]
    named = [f"{p.id} ({len(p.token_ids)} tokens): {p.text!r}" for p in prompts]
    return [("prompt", text) for text in named or ["the environment does not say"]]


def _check_training(
    config: RunConfig, training: RLSCConfig, questions: QuestionSet, model: Any, tokenizer: Any
) -> tuple[Any, list[Prompt]]:
    """As the trainer would be made: its model, with an adapter or not, and the prompts that fit."""
    check_processes(training)
    environment = create_environment(config, training.num_generations)
    if config.use_peft:
        made = adapter_config(model, config.lora, config.adapter)
        model = with_adapter(model, made, training.seed, environment.adapters)
    if environment.needs_rows:
        rows = rows_of(prompt_rows(config, questions, tokenizer), "train_dataset")
        examples = examples_of(rows)
        prompts, _ = render_all(examples, model, tokenizer, training)
    else:
        rows, examples = [], []
        prompts = list(game_prompts(environment, tokenizer, training).values())
        check_vocabulary(prompts, tokenizer, model)
        if prompts:
            fit_context(prompts, training.max_completion_length, context_length(model))
    sampling_of(tokenizer, model, training)
    if create_objective(training).completions_given:
        given_pairs(examples, rows, model, tokenizer, training.max_completion_length)
    sft_rows = supervised_rows(training, environment)
    supervised_groups(sft_rows, model, tokenizer, training)
    with naming_the_optimizer():  # one that is installed and takes these
        kind, how = RLSCTrainer.get_optimizer_cls_and_kwargs(training, model)
        kind([torch.nn.Parameter(torch.zeros(1))], **how)
    return model, prompts


def _engine(training: RLSCConfig, model: Any) -> str:
    """Which one it would be, by all that is known without weights and without a server."""
    name, engine = resolve_engine(training.engine), engine_class(training)
    try:
        engine.check_supports(model)
    except ModelError as error:
        if engine.fallback is None:
            raise
        return f"{engine.fallback}, since the {name} engine can't serve the model: {error}"
    engine.check_installed()
    return ", ".join(filter(None, (name, engine.place(training))))
