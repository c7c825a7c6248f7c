"""What the trainer is given, made ready: what excludes what, rows that fit, pairs, their order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from rlsc.data import (
    Rows,
    as_prompt,
    check_vocabulary,
    end_of_turn,
    fit_context,
    identifiers,
    render,
    rows_of,
    stop_token_ids,
    written_vocabulary,
)
from rlsc.engines import ZERO3_NEEDS, SamplingParams, ScriptedEngine, engine_class
from rlsc.environments import DatasetEnvironment, Environment
from rlsc.errors import ConfigError, QuestionError
from rlsc.logprobs import Layout, supported_layout
from rlsc.models import context_length, with_adapter
from rlsc.objectives import Objective, parts_of
from rlsc.runtime import console, waiting
from rlsc.training.arguments import RLSCConfig
from rlsc.training.games import check_adapters, check_game
from rlsc.training.weighing import takes_forward
from rlsc.types import Completion, Example, Pool, Prompt


def check_processes(args: RLSCConfig) -> None:
    """Raises `ConfigError` for a way of sharing the work that is not there."""
    if args.n_gpu > 1:
        raise ConfigError(
            f"{args.n_gpu} GPUs and one process: accelerate launch --num_processes {args.n_gpu}, "
            "or CUDA_VISIBLE_DEVICES=0"
        )


def adapted(model: Any, peft_config: Any, environment: Environment, seed: int) -> Any:
    """The model with what adapters it is trained by, if any; one for each role that has one."""
    check_adapters(environment, peft_config is not None)
    if peft_config is None:
        return model
    return with_adapter(model, peft_config, seed, environment.adapters)


def check_trained(model: Any) -> None:
    """Raises `ConfigError` for a model no weight of which is trained."""
    if any(parameter.requires_grad for parameter in model.parameters()):
        return
    advice = "set requires_grad where it is to be trained"
    if hasattr(model, "peft_config"):
        advice = "load the adapter with PeftModel.from_pretrained(…, is_trainable=True)"
    raise ConfigError(f"no weight of the model is trained (requires_grad is false): {advice}")


def check_sharding(accelerator: Any, args: RLSCConfig) -> None:
    """Raises `ConfigError` for a way of spreading weights over processes that would not work."""
    fsdp = getattr(accelerator.state, "fsdp_plugin", None)
    zero = getattr(accelerator.state, "deepspeed_plugin", None)
    for name, plugin in (("FSDP", fsdp), ("DEEPSPEED", zero)):
        asked = os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true"
        if asked and plugin is None and args.world_size > 1:
            raise ConfigError(f"accelerate has {name} on GPUs only, and would copy the weights")
    if fsdp is not None:
        needed = {
            "fsdp_version: 2": fsdp.fsdp_version == 2,
            "fsdp_cpu_ram_efficient_loading: false": not fsdp.cpu_ram_efficient_loading,
            "fsdp_state_dict_type: FULL_STATE_DICT": "FULL" in str(fsdp.state_dict_type),
        }
        wrong = [name for name, right in needed.items() if not right]
        if wrong:
            raise ConfigError(f"FSDP needs {', '.join(wrong)}: see recipes/accelerate/fsdp2.yaml")
    if zero is not None and zero.zero_stage == 3 and not engine_class(args).takes_zero3:
        raise ConfigError(f"--engine {args.engine} and ZeRO-3: {ZERO3_NEEDS}")


def check_zero3(accelerator: Any, args: RLSCConfig, objective: Objective) -> None:
    """Raises `ConfigError` where a process makes forward passes that others do not make."""
    zero = getattr(accelerator.state, "deepspeed_plugin", None)
    if zero is None or zero.zero_stage != 3:
        return
    alone = {
        f"--objective {args.objective}": takes_forward(objective),
        "--rollout_policy base": args.rollout_policy == "base",
        "--skip_weight_below": args.skip_weight_below,
        "--dataloader_drop_last false": not args.dataloader_drop_last,
        "--guard stop": args.guard == "stop",
    }
    wrong = [name for name, there in alone.items() if there]
    if wrong:
        raise ConfigError(
            f"ZeRO-3 does not give whole weights, which {' and '.join(wrong)} needs: take FSDP2 "
            "(recipes/accelerate/fsdp2.yaml)"
        )


def check_environment(environment: Environment, objective: Objective, args: RLSCConfig) -> None:
    """Raises `ConfigError` where environment, objective and settings exclude each other.

    What an environment makes of a step shows only there, unless its class says so by
    `gives_rewards`: `check_pools` looks again.
    """
    name, gives = type(environment).__name__, environment.gives_rewards
    if "environment" in objective.weights_need and gives is False:
        raise ConfigError(
            f"objective {args.objective} needs the environment's rewards, and {name} gives none: "
            "name another --environment, or another --objective"
        )
    if gives:
        _check_rewards_are_read(name, objective, args)
    if environment.is_game:
        check_game(environment, objective, args)
    if gives is not False:
        may = "gives" if gives else "may give (its class does not say gives_rewards = False)"
        _refuse_filters(f"environment {name}, which {may} rewards", objective, args)


def check_pools(
    pools: Sequence[Pool], environment: Environment, objective: Objective, args: RLSCConfig
) -> None:
    """Raises `ConfigError` where a step's pools are of a kind that the run has no use for."""
    name = type(environment).__name__
    if any(pool.rewards is not None for pool in pools):
        _check_rewards_are_read(name, objective, args)
        _refuse_filters(f"environment {name}, which gives rewards", objective, args)
    several = next((pool.name for pool in pools if len(pool.groups) > 1), None)
    if several is not None:
        _refuse_filters(f"pool {several!r} of several questions", objective, args)


def _check_rewards_are_read(name: str, objective: Objective, args: RLSCConfig) -> None:
    if "environment" not in objective.weights_need and not _is_blind(objective):
        raise ConfigError(
            f"environment {name} gives rewards, which objective {args.objective} does not read: "
            "take --objective trr, or one of your own with 'environment' in weights_need"
        )


def _is_blind(objective: Objective) -> bool:
    """Whether it is a control, which is to read nothing of what completions are worth."""
    parts = [part for part, _ in parts_of(objective)]
    return all(part.is_control and set(part.weights_need) <= {"reference"} for part in parts)


def _refuse_filters(beside: str, objective: Objective, args: RLSCConfig) -> None:
    """What leaves completions out question by question, or has them from elsewhere."""
    given = {
        f"--objective {args.objective} on given pairs": objective.completions_given,
        "--rollout_policy base": args.rollout_policy == "base",
        "--train_generations": args.train_generations > 0,
        "--skip_unanimous": args.skip_unanimous,
        "--entropy_floor": args.entropy_floor is not None,
        "--mask_truncated_completions": args.mask_truncated_completions,
    }
    wrong = next((name for name, there in given.items() if there), None)
    if wrong is not None:
        raise ConfigError(f"{wrong} and {beside} exclude each other: leave it out")


def layout_of(tokenizer: Any, model: Any, args: RLSCConfig) -> Layout:
    vocabulary = written_vocabulary(tokenizer, model)
    wanted = Layout(args.padding_free, args.share_prefixes, args.logits_chunk_size, vocabulary)
    layout, reason = supported_layout(model, wanted)
    if reason:
        name = type(model).__name__
        console.print(
            f"{name} can't be computed without padding: {reason}; padded, all logits held"
        )
    return layout


def sampling_of(tokenizer: Any, model: Any, args: RLSCConfig) -> SamplingParams:
    return SamplingParams(
        max_new_tokens=args.max_completion_length,
        stop_token_ids=stop_token_ids(tokenizer, model),
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        vocabulary=written_vocabulary(tokenizer, model),
    )


def examples_of(rows: Rows) -> list[Example]:
    """Rows of a data set in Python, each with an id of its own and a prompt that can be asked.

    Raises `QuestionError` for the first without. Of other columns only `paraphrase` is read.
    """
    examples = []
    for identifier, (where, row) in zip(identifiers(rows), rows, strict=True):
        prompt = row.get("prompt")
        if prompt is None:
            raise QuestionError(
                f"{where} has no 'prompt' (it has {', '.join(map(str, row)) or 'nothing'})"
            )
        other = row.get("paraphrase")
        if other is not None:
            other = as_prompt(other, f"{where}: its paraphrase")
        examples.append(Example(identifier, as_prompt(prompt, f"{where}: its prompt"), other))
    return examples


def render_all(
    examples: Sequence[Example], model: Any, tokenizer: Any, args: RLSCConfig
) -> tuple[list[Prompt], list[Prompt]]:
    """The prompts as token ids: those that fit the context, and those skipped."""
    if not examples:
        raise QuestionError("train_dataset is empty: it needs rows with a 'prompt'")
    prompts = _rendered(examples, "train_dataset", model, tokenizer, args)
    fitting, skipped = fit_context(
        prompts, args.max_completion_length, context_length(model), args.skip_long_prompts
    )
    needed = args.per_device_train_batch_size * args.world_size
    if len(fitting) < needed:
        raise ConfigError(
            f"{len(fitting)} questions are too few for {needed} distinct ones a step: "
            "lower --per_device_train_batch_size"
        )
    return fitting, skipped


def _rendered(
    examples: Sequence[Example], name: str, model: Any, tokenizer: Any, args: RLSCConfig
) -> list[Prompt]:
    kwargs = args.chat_template_kwargs
    with waiting(f"rendering the prompts of {name}"):
        prompts = [render(example.prompt, example.id, tokenizer, kwargs) for example in examples]
    check_vocabulary(prompts, tokenizer, model)
    return prompts


def paraphrases_of(
    examples: Sequence[Example], model: Any, tokenizer: Any, args: RLSCConfig
) -> dict[str, Prompt]:
    """The paraphrases as token ids, by the question's id.

    Raises `QuestionError` for a question without, and for one that does not fit the context.
    """
    missing = [example.id for example in examples if example.paraphrase is None]
    if missing:
        raise QuestionError(
            f"votes_of paraphrase: {len(missing)} of {len(examples)} questions have no "
            f"'paraphrase' (such as {missing[0]!r}): add the column, or take votes_of teacher"
        )
    others = [Example(example.id, example.paraphrase or "") for example in examples]
    prompts = _rendered(others, "paraphrases", model, tokenizer, args)
    fit_context(prompts, args.max_completion_length, context_length(model), skip=False)
    return {prompt.id: prompt for prompt in prompts}


def check_votes(accelerator: Any, environment: Environment, objective: Objective) -> None:
    """Raises `ConfigError` where the votes of others cannot be had."""
    if objective.votes_of is None:
        return
    if not isinstance(environment, DatasetEnvironment):
        raise ConfigError(
            f"votes_of {objective.votes_of} is of a data set's questions, which environment "
            f"{type(environment).__name__} does not ask: name another --objective"
        )
    state = accelerator.state
    sharded = getattr(state, "fsdp_plugin", None) or getattr(state, "deepspeed_plugin", None)
    if objective.votes_of == "teacher" and sharded:
        raise ConfigError(
            "votes_of teacher averages whole weights, and FSDP and DeepSpeed divide them: take "
            "several processes without them, or votes_of paraphrase"
        )


def probe_prompts(dataset: Any, model: Any, tokenizer: Any, args: RLSCConfig) -> list[Prompt]:
    """The guard's questions as token ids: those that fit the context; none where it is off."""
    name = "probe_dataset"
    rows = [] if dataset is None or args.guard == "off" else rows_of(dataset, name)
    prompts = _rendered(examples_of(rows), name, model, tokenizer, args)
    room = context_length(model)
    if room is None:
        return prompts
    longest = room - args.max_completion_length
    return [prompt for prompt in prompts if len(prompt.token_ids) <= longest]


def given_pairs(
    examples: Sequence[Example], rows: Rows, model: Any, tokenizer: Any, cap: int
) -> ScriptedEngine:
    """Of a preference data set: chosen and rejected, in place of sampled completions.

    `rows` are those of the examples. Raises `QuestionError` for one without them, and for one
    longer than the cap.
    """
    script: dict[str, list[Completion]] = {}
    for example, (_, row) in zip(examples, rows, strict=True):
        name = example.id
        for column in ("chosen", "rejected"):
            if row.get(column) is None:
                raise QuestionError(
                    f"question {name} has no {column!r}: dpo_pairs given trains on a preference "
                    "data set, with columns chosen and rejected"
                )
            text = last_turn(row[column], f"question {name}: {column!r}")
            where, is_text = f"question {name}: its {column!r}", isinstance(example.prompt, str)
            completion = given_completion(text, name, where, is_text, tokenizer, model, cap)
            script.setdefault(name, []).append(completion)
    return ScriptedEngine(script)


def given_completion(
    text: str,
    name: str,
    where: str,
    is_text: bool,
    tokenizer: Any,
    model: Any,
    cap: int,
    stop: str = "",
) -> Completion:
    """What a policy would have sampled to say this: its tokens, and what ends it.

    That is `stop`, or the end of the turn where the prompt is no text but messages, else the end of
    a text. Raises `QuestionError`, which begins with `where`, if it is longer than the cap.
    """
    ids = tuple(tokenizer(text + stop, add_special_tokens=False)["input_ids"])
    if not stop:
        turn = None if is_text else end_of_turn(tokenizer)
        ids = (*ids, tokenizer.eos_token_id if turn is None else turn)
    if len(ids) > cap:
        raise QuestionError(f"{where} has {len(ids)} tokens: raise --max_completion_length")
    check_vocabulary([Prompt(name, text, ids)], tokenizer, model)
    return Completion(text, ids, (0.0,) * len(ids), "stop")


def last_turn(value: Any, where: str) -> str:
    """A completion as text, or as TRL's conversational form: messages, the last of which counts."""
    turns = as_prompt(value, where)
    return turns if isinstance(turns, str) else turns[-1]["content"]


class StepBatches(Sampler[list[int]]):
    """The questions of each step, cut into the processes' shares: this one's indices, in order.

    An epoch's order is that of transformers' own sampler in one process. Every batch comes
    `repeats` times in a row, once for each update on it. A last batch that is not full is left
    out with `drop_last`; else the first processes have its questions, and the last may have none.
    """

    def __init__(
        self,
        questions: int,
        per_process: int,
        repeats: int = 1,
        drop_last: bool = True,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self._questions, self._size = questions, per_process * processes
        self._repeats, self._drop_last, self._seed = repeats, drop_last, seed
        self._share = slice(rank * per_process, (rank + 1) * per_process)
        self._epoch = 0

    @property
    def batch_sampler(self) -> StepBatches:
        """Where the parent's loop looks for `set_epoch`, past a wrapper of accelerate's."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Called by the parent's loop: each epoch has an order of its own."""
        self._epoch = epoch

    def __len__(self) -> int:
        batches, rest = divmod(self._questions, self._size)
        return (batches + (rest > 0 and not self._drop_last)) * self._repeats

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        order = torch.randperm(self._questions, generator=generator).tolist()
        for start in range(0, len(self) // self._repeats * self._size, self._size):
            for _ in range(self._repeats):
                yield order[start : start + self._size][self._share]


def step_loader(examples: Sequence[Example], per_process: int, args: RLSCConfig) -> Any:
    """A loader of each step's rows of this process, as lists."""
    seed = args.seed if args.data_seed is None else args.data_seed
    batches = StepBatches(
        len(examples),
        per_process,
        args.num_iterations,
        args.dataloader_drop_last,
        seed,
        args.process_index,
        args.world_size,
    )
    return DataLoader(examples, batch_sampler=batches, collate_fn=list)  # type: ignore[arg-type]
