"""An adapter to start from, and a base in 4 bits: what is sampled, scored, saved and evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from rlsc import RLSCTrainer
from rlsc.commands.main import _main
from rlsc.data.prompts import render
from rlsc.engines import SamplingParams, create_engine
from rlsc.errors import ConfigError
from rlsc.logprobs import Layout, Scorer
from rlsc.logprobs.padded_rows import make_rows, pad
from rlsc.models import load_base, load_policy
from rlsc.training.reference import Reference
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.commands.test_train import answers, arguments, results
from tests.smoke.training.test_trainer import CHATS, config

LORA = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False)
QUICK = ("--guard", "off", "--eval_samples", "0", "--eval_limit", "3", "--max_steps", "1")
FLAGS = ("--use_peft", "true", "--learning_rate", "0.05", *QUICK)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """An adapter that changes the tiny model a lot."""
    from rlsc.models import with_adapter

    with_adapter(tiny_model(), LORA, seed=5).save_pretrained(tmp_path / "given")
    return tmp_path / "given"


class Named:
    """Settings that name a model."""

    def __init__(self, model: Path, adapter: Path | None = None, four: bool = False) -> None:
        self.model, self.adapter = str(model), None if adapter is None else str(adapter)
        self.load_in_4bit, self.model_revision, self.trust_remote_code = four, None, False


def logps(model: torch.nn.Module) -> torch.Tensor:
    """Of completions that have nothing to do with the model."""
    prompt = render(CHATS[0], "0", tiny_tokenizer())
    rows = pad(make_rows([_group(prompt)], merge_duplicates=False))
    return Scorer(model, Layout(padding_free=False)).evaluate(rows, temperature=1.0).logps_BT


def _group(prompt):
    from rlsc.types import Completion, CompletionGroup

    texts = ((5, 6, 7), (8, 9), (3,))
    return CompletionGroup(
        prompt, [Completion("", ids, (0.0,) * len(ids), "stop") for ids in texts]
    )


def test_a_run_starts_from_it_and_leaves_it_changed(
    tiny_folder: Path, given: Path, tmp_path: Path, capsys
) -> None:
    flags = ("--adapter", str(given), "--learning_rate", "0.05", *QUICK)
    assert _main(["train", *arguments(tiny_folder, tmp_path / "one", *flags, "--dry_run")]) == 0
    assert _main(["train", *arguments(tiny_folder, tmp_path / "one", *flags)]) == 0
    assert "training 3,712 of 20,960 parameters" in " ".join(capsys.readouterr().out.split())
    before = load_file(given / "adapter_model.safetensors")
    after = load_file(tmp_path / "one" / "adapter" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    # The untrained model of a second run is the tuned one of the first.
    flags = ("--adapter", str(tmp_path / "one" / "adapter"), *QUICK)
    assert _main(["train", *arguments(tiny_folder, tmp_path / "two", *flags)]) == 0
    first, second = answers(tmp_path / "one"), answers(tmp_path / "two", "before")
    assert [row["text"] for row in first["greedy"]] == [row["text"] for row in second["greedy"]]
    assert "with the adapter" in results(tmp_path / "two").model


def test_an_evaluation_is_of_the_adapted_model(
    tiny_folder: Path, given: Path, tmp_path: Path
) -> None:
    from tests.smoke.conftest import read_jsonl

    texts = {}
    for name, more in (("plain", []), ("adapted", ["--adapter", str(given)])):
        flags = ["--model", str(tiny_folder), "--benchmarks", "arithmetic", "--limit", "4"]
        out = tmp_path / name
        more += ["--max_new_tokens", "6", "--output_dir", str(out), "--dtype", "float32"]
        assert _main(["eval", *flags, *more]) == 0
        (file,) = (out / "samples").rglob("*.jsonl")
        texts[name] = [row["text"] for row in read_jsonl(file)]
    model, _, _ = load_policy(Named(tiny_folder, given), torch.float32)
    merged = model.merge_and_unload()
    engine = create_engine(config(tmp_path), merged, tiny_tokenizer(), torch.float32)
    rows = read_jsonl(file)
    prompts = [
        render(
            [{"role": "user", "content": f"What is {row['id'][11:].replace('+', ' + ')}?"}],
            "",
            tiny_tokenizer(),
        )
        for row in rows
    ]
    groups = engine.generate(prompts, 1, SamplingParams(6, (0,), 0.0), [0] * len(rows))
    assert texts["adapted"] == [group.completions[0].text for group in groups] != texts["plain"]


def test_the_reference_is_the_model_that_training_starts_from(
    tiny_folder: Path, given: Path
) -> None:
    model, _, _ = load_policy(Named(tiny_folder, given), torch.float32, trainable=True)
    base = load_base(Named(tiny_folder), torch.float32)
    start = logps(model)
    assert (start - logps(base)).abs().max() > 0.1
    reference = Reference(model, Layout(padding_free=False))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += parameter.requires_grad * 0.1
    assert (logps(model) - start).abs().max() > 0.1
    with reference.untrained() as untrained:
        assert torch.allclose(logps(untrained), start, atol=1e-5)


def test_a_frozen_adapter_is_refused_before_anything_is_sampled(
    tiny_folder: Path, given: Path, tmp_path: Path
) -> None:
    frozen = PeftModel.from_pretrained(tiny_model(), given)
    data = [{"prompt": chat} for chat in CHATS]
    with pytest.raises(ConfigError, match=r"no weight of the model is trained.*is_trainable=True"):
        RLSCTrainer(frozen, config(tmp_path), data, tiny_tokenizer())


def test_an_adapter_within_an_adapter_is_refused(given: Path, tmp_path: Path) -> None:
    model = PeftModel.from_pretrained(tiny_model(), given, is_trainable=True)
    data = [{"prompt": chat} for chat in CHATS]
    with pytest.raises(ConfigError, match="leave peft_config out"):
        RLSCTrainer(model, config(tmp_path), data, tiny_tokenizer(), peft_config=LORA)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--adapter", "nowhere"), "no PEFT adapter at nowhere"),
        (("--adapter", ""), "adapter is empty"),
        (("--load_in_4bit",), "load_in_4bit: such weights are not trained; add --use_peft true"),
        (("--merge_to", "x"), "merge_to is of an adapter"),
        (("--merge_to", "x", "--use_peft", "--no_save_model"), "merge_to needs the adapter"),
        (("--merge_to", "/", "--use_peft"), "is there and not empty"),
        (("--merge_to", "/", "--use_peft", "--overwrite"), "is there and not empty"),
        (("--merge_to", "RUN/merged", "--use_peft"), "is within --output_dir"),
        (("--merge_to", "/proc/merged", "--use_peft"), "cannot write into --merge_to /proc/merged"),
        (("--model_revision", "main"), "model_revision is of a Hub id"),
        (
            ("--load_in_4bit", "--use_peft", "--push_to_hub", "--hub_model_id", "me/it"),
            "push_to_hub needs whole weights",
        ),
        (("--model=",), "model is empty"),
    ],
)
def test_flags_that_cannot_work(
    tiny_folder: Path, tmp_path: Path, capsys, flags: tuple[str, ...], message: str
) -> None:
    flags = tuple(flag.replace("RUN", str(tmp_path / "run")) for flag in flags)
    assert _main(["train", *arguments(tiny_folder, tmp_path / "run", *flags)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_folders_that_hold_an_adapter_say_how_to_name_it(
    tiny_folder: Path, given: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    for model, advice in (
        (given, f"give it as --adapter {given}, and its base as --model"),
        (tmp_path / "run", f"give its adapter as --adapter {tmp_path / 'run' / 'adapter'}"),
    ):
        assert _main(["train", *arguments(model, tmp_path / "out")]) == 2
        assert advice in capsys.readouterr().err


@pytest.fixture
def four_bits() -> None:
    pytest.importorskip("bitsandbytes")


def test_a_base_in_4_bits(four_bits: None, tiny_folder: Path, tmp_path: Path) -> None:
    """The adapter alone is saved; it merges into the base in full precision."""
    folder, merged = tmp_path / "run", tmp_path / "merged"
    flags = (*FLAGS, "--load_in_4bit", "--merge_to", str(merged))
    assert _main(["train", *arguments(tiny_folder, folder, *flags)]) == 0
    assert not (folder / "model").exists()
    assert results(folder).model_saved is False
    assert "in 4 bits" in results(folder).model
    whole = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    adapted, _, _ = load_policy(Named(tiny_folder, folder / "adapter"), torch.float32)
    assert torch.allclose(logps(whole), logps(adapted), atol=1e-5)
    assert _main(["train", *arguments(tiny_folder, folder, *flags, "--resume")]) == 0


def test_4_bits_are_sampled_and_scored_alike(
    four_bits: None, tiny_folder: Path, given: Path, tmp_path: Path
) -> None:
    """The ratio of engine and update is 1 at step 0, and both differ from the whole base's."""
    model, tokenizer, _ = load_policy(Named(tiny_folder, given, four=True), torch.float32)
    engine = create_engine(config(tmp_path), model, tokenizer, torch.float32)
    engine.sync(model)
    prompts = [render(chat, str(at), tokenizer) for at, chat in enumerate(CHATS[:3])]
    groups = engine.generate(prompts, 4, SamplingParams(8, (0,), 1.0), [1, 2, 3])
    batch = pad(make_rows(groups, merge_duplicates=False))
    scored = (
        Scorer(model, Layout(padding_free=False)).evaluate(batch, temperature=1.0).logps_BT.sum(-1)
    )
    sampled = torch.tensor([sum(c.logps) for group in groups for c in group.completions])
    assert torch.allclose(sampled, scored.float(), atol=1e-4)
    plain, _, _ = load_policy(Named(tiny_folder, given), torch.float32)
    other = (
        Scorer(plain, Layout(padding_free=False)).evaluate(batch, temperature=1.0).logps_BT.sum(-1)
    )
    assert (scored - other).abs().max() > 0.01
