"""A supervised start: a game's first steps are on given completions, before it samples any.

A policy that cannot play yet has no signal from the game. Here it is shown how, by completions that
are right: −log p(y|x), the tokens of y alone, a mean over the rows of a step.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rlsc.config import OF_ENVIRONMENT
from rlsc.data import Rows, as_prompt, check_vocabulary, identifiers, read_rows, render, rows_of
from rlsc.engines import seed_for
from rlsc.environments import Environment
from rlsc.errors import ConfigError, QuestionError
from rlsc.logprobs import Scorer
from rlsc.models import RoleAdapters, context_length
from rlsc.objectives import Constant
from rlsc.records import content_hash
from rlsc.training.arguments import RLSCConfig
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.preparation import given_completion, last_turn
from rlsc.training.progress import StepProgress
from rlsc.training.update import StepBatch, Update
from rlsc.training.weighing import Advantages
from rlsc.types import CompletionGroup

_ID = "sft/"
_COLUMNS = ("prompt", "completion", "stop", "adapter")


def supervised_rows(args: RLSCConfig, environment: Environment) -> Rows:
    """Those of `sft_rows`, each with a prompt and a completion; none where there is no such start.

    Where roles have adapters, each says by `adapter` whose it is.

    Raises `ConfigError` where the environment is no game or writes none, and `QuestionError` for
    the first row that is none.
    """
    if args.sft_rows is None:
        return []
    name = type(environment).__name__
    if not environment.is_game:
        raise ConfigError(f"sft_rows begins a game, and environment {name} asks questions")
    if args.sft_rows == OF_ENVIRONMENT:
        rows = rows_of(environment.demonstrations(), f"sft_rows of environment {name}")
        if not rows:
            raise ConfigError(
                f"sft_rows environment: {name} writes none of its own: name a file with the "
                "columns prompt and completion"
            )
    else:
        rows = read_rows(Path(args.sft_rows))
    for where, row in rows:
        for column in ("prompt", "completion"):
            if row.get(column) is None:
                raise QuestionError(
                    f"{where} has no {column!r} (it has {', '.join(map(str, row)) or 'nothing'})"
                )
            as_prompt(row[column], f"{where}: its {column}")
        role, roles = row.get("adapter"), environment.adapters
        if roles and role not in roles:
            raise QuestionError(f"{where}: its adapter is {role!r:.60}: of {', '.join(roles)}")
        if not isinstance(row.get("stop") or "", str):
            raise QuestionError(f"{where}: its stop is {row['stop']!r:.60}, not text")
    identifiers(rows)
    return rows


def supervised_groups(
    rows: Rows, model: Any, tokenizer: Any, args: RLSCConfig
) -> list[CompletionGroup]:
    """The rows as tokens, a group of one completion each.

    Raises `QuestionError` for one that is longer than the cap or the model's context.
    """
    groups, context = [], context_length(model)
    for name, (where, row) in zip(identifiers(rows), rows, strict=True):
        asked = as_prompt(row["prompt"], f"{where}: its prompt")
        prompt = render(asked, f"{_ID}{name}", tokenizer, args.chat_template_kwargs)
        check_vocabulary([prompt], tokenizer, model)
        said = f"{where}: its completion"
        completion = given_completion(
            last_turn(row["completion"], said),
            prompt.id,
            said,
            isinstance(asked, str),
            tokenizer,
            model,
            args.max_completion_length,
            str(row.get("stop") or ""),
        )
        length = len(prompt.token_ids) + len(completion.token_ids)
        if context is not None and length > context:
            raise QuestionError(
                f"{where}: prompt and completion have {length} tokens, and the model's context "
                f"{context}"
            )
        groups.append(CompletionGroup(prompt, [completion]))
    return groups


def supervised_start(
    rows: Rows,
    tokenizer: Any,
    args: RLSCConfig,
    environment: Environment,
    scorer: Scorer,
    *how: Any,
) -> SupervisedStart:
    """On these rows. The scorer has the model; `how` is what `SupervisedStart` takes after it."""
    groups = supervised_groups(rows, scorer.model, tokenizer, args)
    return SupervisedStart(args, groups, supervised_adapters(rows, environment), scorer, *how)


def supervised_adapters(rows: Rows, environment: Environment) -> dict[str, str]:
    """By the prompt's id whose adapter a row is for; nothing where roles have none."""
    named = zip(identifiers(rows), rows, strict=True) if environment.adapters else ()
    return {f"{_ID}{name}": str(row["adapter"]) for name, (_, row) in named}


def supervised_parts(rows: Rows) -> dict[str, str]:
    """What a run that goes on has the same of."""
    if not rows:
        return {}
    return {"supervised rows": content_hash([[row.get(n) for n in _COLUMNS] for _, row in rows])}


class SupervisedStart:
    """The steps before `args.sft_steps`, if any: what each is on, and its update."""

    def __init__(
        self,
        args: RLSCConfig,
        groups: Sequence[CompletionGroup],
        of_adapter: Mapping[str, str],
        scorer: Scorer,
        adapters: RoleAdapters,
        accelerator: Any,
        progress: StepProgress,
    ) -> None:
        self._args, self._groups, self._of_adapter = args, groups, of_adapter
        self._orders: dict[int, list[int]] = {}
        """Of the passes that the last step was in: shuffled once, not for each row."""
        how = (scorer, adapters, accelerator, progress)
        self.update = Update(_plain(args), Constant(), AuxiliaryModels(), *how)

    def has(self, step: int) -> bool:
        """Whether this step is one of them."""
        return step < self._args.sft_steps

    def groups_of(self, step: int) -> list[CompletionGroup]:
        """Pass after pass over all rows, each in an order of its own, by seed and step alone."""
        size, number = self._args.sft_batch_size, len(self._groups)
        wanted = [divmod(place, number) for place in range(step * size, (step + 1) * size)]
        passes = {of for of, _ in wanted}
        self._orders = {of: self._orders.get(of) or self._order(of) for of in passes}
        return [self._groups[self._orders[of][at]] for of, at in wanted]

    def _order(self, number: int) -> list[int]:
        places = list(range(len(self._groups)))
        random.Random(seed_for(self._args.seed, "supervised", number)).shuffle(places)
        return places

    def batch(self, step: int) -> StepBatch:
        """Every row weighs the same."""
        groups = self.groups_of(step)
        ones = torch.ones(len(groups), 1, dtype=torch.float64)
        return self.update.cut(groups, Advantages(ones[:, 0].bool(), (ones,)), self._of_adapter)


def _plain(args: RLSCConfig) -> RLSCConfig:
    """Without what is of sampled completions: it would change the likelihood."""
    plain = copy.copy(args)
    plain.importance_sampling_correction, plain.weight_clip = False, None
    plain.num_iterations, plain.train_generations, plain.skip_weight_below = 1, 0, 0.0
    return plain
