"""Two LoRA adapters in place of one policy: trained and sampled apart, both saved and resumed."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from rlsc import RLSCTrainer
from rlsc.commands.main import _main
from rlsc.data.prompts import render
from rlsc.engines import Engine, SamplingParams, create_engine
from rlsc.engines.hf import HFEngine
from rlsc.environments import Environment
from rlsc.environments.spc.environment import SPC
from rlsc.errors import ConfigError, QuestionError
from rlsc.training.supervised import supervised_rows
from rlsc.training.update import StepBatch
from rlsc.types import Ask, Completion
from tests.ascii_model import ascii_model, ascii_tokenizer, save_ascii_model
from tests.smoke.conftest import write_jsonl
from tests.smoke.training.test_games import cut_and_whole
from tests.smoke.training.test_spc import GAME as SHARED
from tests.smoke.training.test_spc import PLAIN, Written, short_prompts  # noqa: F401
from tests.smoke.training.test_trainer import config

ROLES = ("critic", "sneaky")
GAME = SHARED | {"roles": "adapters", "reward": "random"}
"""By a coin: this model gives no verdict that a critic could be paid for."""
LORA = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "down_proj"])


def trainer(folder: Path, game: Environment | None = None, **changes: Any) -> RLSCTrainer:
    settings = {"objective": "trr", "temperature": 1.0, "guard": "off", "eval_steps": 2, **PLAIN}
    given = {name: changes.pop(name) for name in ("engine", "peft_config") if name in changes}
    settings |= {"learning_rate": 0.05} | changes
    return RLSCTrainer(
        model=ascii_model(),
        args=config(folder, **settings),
        processing_class=ascii_tokenizer(),
        environment=game or Written(**GAME),
        **{"peft_config": LORA, **given},
    )


def of(run: RLSCTrainer, role: str) -> dict[str, torch.Tensor]:
    return {name: p for name, p in run.model.named_parameters() if f".{role}." in name}


@torch.no_grad()
def set_apart(run: RLSCTrainer) -> None:
    """Each adapter a policy of its own: LoRA's B are drawn too."""
    draw = torch.Generator().manual_seed(7)
    for role in ROLES:
        for p in of(run, role).values():
            p.copy_(torch.randn(p.shape, generator=draw) * 0.4)


def test_a_run_that_goes_on_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """To the bit, both adapters and their moments; both are in the checkpoint."""

    def short(folder: Path, **changes: Any) -> RLSCTrainer:
        game = Written(**GAME | {"critics": 1, "held_out": 1})
        return trainer(folder, game, max_completion_length=4, **changes)

    whole = cut_and_whole(short, tmp_path)
    checkpoint = whole / "checkpoint-4"
    saved = {role: load_file(checkpoint / role / "adapter_model.safetensors") for role in ROLES}
    for name, weight in saved["critic"].items():
        if "lora_B" in name:  # 0 at first
            assert weight.any()
            assert saved["sneaky"][name].any()
            assert not torch.equal(weight, saved["sneaky"][name])


def first_step(run: RLSCTrainer) -> StepBatch:
    rollout = run.sampler.collect(run.environment, 0, [])
    return run.update.cut(rollout.groups, run._weigh(0, rollout, {}), rollout.adapters)


def gradients(
    run: RLSCTrainer, batch: StepBatch, roles: tuple[str, ...]
) -> dict[str, torch.Tensor | None]:
    """Of a step without the micro-batches of other roles, by the parameter's name."""
    kept = [one for one in batch.micro_batches if batch.adapter_of(one) in roles]
    run.model.zero_grad(set_to_none=True)
    run.update.backward(run.model, replace(batch, micro_batches=kept, weightless=[]), 0)
    return {name: p.grad for name, p in run.model.named_parameters()}


def test_each_adapter_is_trained_on_its_own_completions_alone(tmp_path: Path) -> None:
    """To the bit: no gradient of the other's, and its own the same without the other's beside."""
    run = trainer(tmp_path, Written(**GAME | {"replay": 0}), shaping="raw")
    set_apart(run)
    batch = first_step(run)
    assert {batch.adapter_of(one) for one in batch.micro_batches} == set(ROLES)
    both = gradients(run, batch, ROLES)
    assert all(grad is None for name, grad in both.items() if ".lora_" not in name)
    for role, other in (ROLES, ROLES[::-1]):
        alone = gradients(run, batch, (role,))
        assert all(alone[name] is None for name in of(run, other))
        for name in of(run, role):
            assert alone[name] is not None
            assert both[name] is not None
            assert torch.equal(alone[name], both[name])
        assert any(bool(alone[name].any()) for name in of(run, role))


@pytest.mark.parametrize("trained", ROLES)
def test_a_role_that_is_not_trained_stays_to_the_bit(tmp_path: Path, trained: str) -> None:
    """Though weight decay moves what has a gradient of 0, as where all rewards are alike."""
    frozen = ROLES[ROLES[0] == trained]
    own = GAME | {"train_roles": trained, "replay": 0}
    # This model writes no step, so the generator's rewards are all -1: no row weighs anything.
    game = Written(**own) if trained == "critic" else SPC(**own | {"reward": "spc"})
    run = trainer(tmp_path, game, max_steps=1, save_strategy="no", weight_decay=0.1)
    before = {role: copy.deepcopy(of(run, role)) for role in ROLES}
    run.train()
    assert all(torch.equal(p, before[frozen][name]) for name, p in of(run, frozen).items())
    assert any(not torch.equal(p, before[trained][name]) for name, p in of(run, trained).items())


def test_a_pass_without_rows_is_by_an_adapter_that_is_trained(tmp_path: Path) -> None:
    """Its gradients are 0, and those of the other missing."""
    run = trainer(tmp_path, Written(**GAME | {"replay": 0}, train_roles="sneaky"))
    batch = first_step(run)
    assert set(batch.adapters_N) == {"sneaky"}
    found = gradients(run, batch, ())
    assert all(found[name] is None for name in of(run, "critic"))
    for name in of(run, "sneaky"):
        grad = found[name]
        assert grad is not None
        assert not grad.any()
    assert replace(batch, adapters_N=()).adapter_of(None) == ""


@pytest.mark.parametrize(
    ("engine", "dtype"),
    [
        ("native", None),
        ("hf", None),
        pytest.param("native", torch.bfloat16, marks=pytest.mark.slow),
    ],
)
def test_every_role_is_sampled_with_its_own(
    tmp_path: Path, engine: str, dtype: torch.dtype | None
) -> None:
    """Greedy texts of a wave of both, and of the base, are those of each merged model by itself."""
    run = trainer(tmp_path, Written(**GAME, opponent="base", train_roles="critic"))
    args = config(tmp_path, engine=engine)
    used = create_engine(args, run.model, ascii_tokenizer(), dtype or torch.float32)
    run.sampler._engine = used
    set_apart(run)
    groups: list[Any] = []

    class Asks(Written):
        def examine(self, seed: int) -> Any:
            wave = [Ask(role, "Sum: 3", adapter=role) for role in ROLES]
            groups.extend((yield [*wave, Ask("base", "Sum: 3", policy="base")]))
            return {}

    run.sampler.examine(Asks(roles="adapters"), run.progress.aside)
    said = {group.prompt.id: group.completions[0].token_ids for group in groups}
    expected = {"base": ascii_model()}
    for role in ROLES:
        with run.roles.active(role):
            expected[role] = copy.deepcopy(run.model).merge_and_unload()
    prompt = render("Sum: 3", "", ascii_tokenizer())
    for name, model in expected.items():
        plain = HFEngine(model, ascii_tokenizer(), dtype or torch.float32)
        (group,) = plain.generate([prompt], 1, SamplingParams(8, (0,), 0.0), [0])
        first = 1 if dtype else 8  # merged weights round otherwise in 8 bits
        assert said[name][:first] == group.completions[0].token_ids[:first]
    assert len(set(said.values())) == 3


def test_texts_are_weighed_by_the_role_s_own(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    set_apart(run)
    groups: list[Any] = []

    class Weighs(Written):
        def examine(self, seed: int) -> Any:
            asks = [Ask(role, "Sum: 3", adapter=role, scored=(" yes",)) for role in ROLES]
            groups.extend((yield asks))
            return {}

    run.sampler.examine(Weighs(roles="adapters"), run.progress.aside)
    ids = ascii_tokenizer()("Sum: 3 yes", add_special_tokens=False, return_tensors="pt")
    for role, group in zip(ROLES, groups, strict=True):
        with run.roles.active(role), torch.no_grad():
            logps = run.model(ids["input_ids"]).logits[0].log_softmax(-1)
        at = range(len("Sum: 3") - 1, len("Sum: 3 yes") - 1)
        of_text = [float(logps[n, ids["input_ids"][0, n + 1]]) for n in at]
        assert group.completions[0].logps == pytest.approx(of_text, abs=1e-4)


class OneAdapter(Engine):
    """A user's own, which says nothing of adapters."""

    def sync(self, model: Any) -> None: ...

    def generate(self, *args: Any, **kwargs: Any) -> Any: ...


class Nobody(Written):
    """Asks without saying of whom."""

    def play(self, step: int, seed: int, rows: Any) -> Any:
        yield [Ask("a", "1")]
        return []


def test_what_cannot_be_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OneAdapter does not change between adapters"):
        trainer(tmp_path, engine=OneAdapter())
    with pytest.raises(ConfigError, match=r"a new adapter for each role \(critic, sneaky\): add"):
        trainer(tmp_path, peft_config=None)
    run = trainer(tmp_path)
    for ask, said in (
        (Ask("a", "1"), "asks 'a' of adapter '': of critic, sneaky"),
        (Ask("a", "1", adapter="judge"), "of adapter 'judge': of critic, sneaky"),
        (Ask("a", "1", policy="base", adapter="critic"), "of adapter 'critic': of none here"),
    ):
        with pytest.raises(ConfigError, match=said):
            run.sampler._check_adapter(ask)
    with pytest.raises(ConfigError, match="asks 'a' of adapter ''"):
        run.sampler.collect(Nobody(roles="adapters"), 0, [])
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"prompt": "1", "completion": "1"}])
    args = config(tmp_path, sft_rows=str(rows), sft_steps=1)
    with pytest.raises(QuestionError, match="its adapter is None: of critic, sneaky"):
        supervised_rows(args, Written(roles="adapters"))


def test_a_supervised_start_is_of_the_role_that_a_row_names(tmp_path: Path) -> None:
    game = Written(**GAME, sft_places=2)
    started = {"sft_rows": "environment", "sft_steps": 1, "sft_batch_size": 6}
    run = trainer(tmp_path, game, **started, max_completion_length=24)
    batch = run.supervised.batch(0)
    roles = {row["prompt"]: row["adapter"] for row in game.demonstrations()}
    asked = [group.prompt.text for group in batch.groups]
    assert list(batch.adapters_N) == [roles[prompt] for prompt in asked]
    assert sorted(batch.adapters_N) == ["critic"] * 4 + ["sneaky"] * 2
    said: list[Completion] = [group.completions[0] for group in batch.groups]
    verdicts = {one.text for one, of in zip(said, batch.adapters_N, strict=True) if of == "critic"}
    assert verdicts == {" Correct", " Incorrect"}


def test_the_command_line_leaves_both_and_merges_the_critic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = save_ascii_model(tmp_path / "tiny"), tmp_path / "run"
    flags = f"train --model {model} --environment spc --objective trr --max_steps 1 --guard off"
    flags += " --max_completion_length 4 --temperature 1 --eval none --bf16 false --disable_tqdm"
    flags += " --save_strategy no --learning_rate 0.05"
    own = "--environment_settings games=4,held_out=0,exploit_places=0,roles=adapters"
    argv = [*flags.split(), "--output_dir", str(out), *own.split()]
    capsys.readouterr()
    for more, said in (
        ([], "trains a new adapter for each role (critic, sneaky): add --use_peft true"),
        (["--use_peft", "--engine", "vllm"], "VLLMEngine does not change between adapters"),
    ):
        assert _main([*argv, *more]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert said in error
    assert _main([*argv, "--use_peft", "--merge_to", str(tmp_path / "merged")]) == 0
    merged = AutoModelForCausalLM.from_pretrained(out / "model", dtype=torch.float32)
    also = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    adapted = PeftModel.from_pretrained(ascii_model(), out / "adapter" / "critic")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected = adapted(ids).logits
        for one in (merged, also):
            assert torch.allclose(one(ids).logits, expected, atol=1e-4)
    assert (out / "adapter" / "sneaky" / "adapter_model.safetensors").is_file()
    capsys.readouterr()
    command = ["eval", "--model", str(model), "--benchmarks", "arithmetic", "--output_dir", "x"]
    assert _main([*command, "--adapter", str(out / "adapter")]) == 2
    error = capsys.readouterr().err
    places = [str(out / "adapter" / role) for role in ROLES]
    assert f"there is one at {' and at '.join(places)}" in error
