"""What `rlsc plan` counts, and that the recipes fit the devices they name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from rlsc.commands.arguments import parse
from rlsc.commands.main import _main, recipes_folder
from rlsc.errors import ConfigError
from rlsc.planning import plan
from rlsc.planning.live_memory import LiveMemory
from rlsc.planning.memory import Device, Footprint, footprint
from rlsc.planning.plan import ROOM, advice, check_fits
from tests.conftest import tiny_model

SMALL = """--questions arithmetic --max_completion_length 8 --num_generations 4
    --per_device_train_batch_size 4 --bf16 false""".split()
GPU = Device("cuda", 80 * 10**9)


def planned(*flags: str, device: Device = GPU, model: Any = None) -> Footprint:
    config, training = parse([*SMALL, *flags])
    return footprint(config, training, (model or tiny_model()).config, device, 10)


def part(planned: Footprint, name: str) -> tuple[int, int, int]:
    (part,) = (part for part in planned.parts if part.name == name)
    return part.start, part.sampling, part.update


# Tensors without data.


def test_live_memory_is_that_of_the_tensors() -> None:
    memory = LiveMemory()
    with memory:
        first = torch.zeros(1000)
        second = first + 1
        assert memory.live == 8000
        view = second[:10]
        del first, second
        assert (memory.live, memory.peak) == (4000, 8000)
        del view
    assert (memory.live, memory.peak) == (0, 8000)


def test_whole_numbers_are_real_and_cost_nothing() -> None:
    memory = LiveMemory()
    with memory:
        at = torch.searchsorted(torch.arange(10) * 2, torch.tensor([3, 8]))
        rows = torch.zeros(10, 100)[at]
    assert at.tolist() == [2, 4]
    assert rows.shape == (2, 100)
    assert memory.live == 800


def test_what_autograd_keeps_is_counted() -> None:
    memory = LiveMemory()
    with memory:
        weight = torch.zeros(100, 100, requires_grad=True)
        output = (torch.zeros(50, 100) @ weight).exp()
        loss = output.sum()
        kept = memory.live
        loss.backward()
        del output, loss
    assert kept == 40_000 + 20_000 + 20_000 + 4  # weight, input, the exponential, its sum
    assert memory.live == 80_000  # weight and gradient


# What is counted.


def test_whole_weights_with_adamw() -> None:
    size = sum(weight.nbytes for weight in tiny_model().parameters())
    plan = planned()
    buffers = part(plan, "weights")[0] - size
    assert 0 <= buffers < 200  # rotary frequencies
    assert part(plan, "optimizer state") == (0, 2 * size, 2 * size)
    assert part(plan, "gradients") == (0, 0, size)
    assert part(plan, "weights to sample with") == (0, 0, 0)  # float32 samples with the policy
    assert plan.peak == plan.phases["update"]


def test_bf16_samples_with_a_copy_of_half_the_size() -> None:
    size = sum(one.numel() for one in tiny_model().parameters())
    start, sampling, update = part(planned("--bf16", "true"), "weights to sample with")
    assert start >= 4 * size  # the copy is made in float32
    assert (sampling, update) == (2 * size, 0)  # an update has its memory


def test_the_cache_is_of_all_rows_and_bounded_by_memory() -> None:
    # 2 layers × keys and values × 2 heads × 8 × 4 bytes; 16 rows of 32 tokens, 4 prompts of 32.
    token = 2 * 2 * 2 * 8 * 4
    assert part(planned(), "key/value cache") == (0, token * 32 * (16 + 4), 0)
    bounded = planned("--rollout_memory_gb", str(token * 64 * 3 / 1e9))
    assert bounded.rows == 3
    assert part(bounded, "key/value cache") == (0, token * 32 * (3 + 3), 0)


OPTIONS = {
    "--gradient_checkpointing true": "activations of the update",
    "--tokens_per_microbatch 8": "activations of the update",
    "--optim adafactor": "optimizer state",
    "--optim adamw_8bit": "optimizer state",
    "--optim sgd": "optimizer state",
    "--use_peft true": "gradients",
}


@pytest.mark.parametrize(("flags", "name"), OPTIONS.items())
def test_options_take_less(flags: str, name: str) -> None:
    long = ("--max_completion_length", "64", "--num_generations", "2")
    model = tiny_model(num_hidden_layers=4)
    less, plain = (planned(*long, *more, model=model) for more in (flags.split(), []))
    assert part(less, name)[2] < part(plain, name)[2]


def test_logits_in_chunks_take_less() -> None:
    model = tiny_model(vocab_size=4096)
    long = ("--max_completion_length", "64", "--logits_chunk_size")
    some, everything = (planned(*long, size, model=model) for size in ("16", "0"))
    assert some.peak < everything.peak


def test_processes_share_what_is_sharded_and_exchange_what_is_not() -> None:
    alone = planned()
    four = planned(device=replace(GPU, processes=4))
    sharded = planned(device=replace(GPU, processes=4, sharded=True))
    gradients = part(alone, "gradients")[2]
    assert part(four, "buckets of the gradients' exchange")[2] == gradients
    for name in ("weights", "optimizer state", "gradients"):
        assert part(sharded, name)[2] == part(alone, name)[2] // 4


ASKS_BASE = """
from rlsc.environments import Environment

class Game(Environment):
    asks_base = True

    def play(self, step, seed, rows):
        yield []
"""


def test_the_model_before_training_is_counted_where_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(ASKS_BASE)
    game = ("--environment", f"{tmp_path / 'game.py'}:Game")
    for flags in (("--beta", "0.1"), ("--rollout_policy", "base"), game):
        whole = planned(*flags)
        assert part(whole, "the model before training")[2] == part(whole, "weights")[2]
        adapted = planned(*flags, "--use_peft", "true")
        assert all(part.name != "the model before training" for part in adapted.parts)
    assert all(part.name != "the model before training" for part in planned().parts)


def test_a_teacher_is_counted_and_twice_while_it_samples() -> None:
    whole = planned("--objective", "co_rewarding")
    trained = part(whole, "gradients")[2]
    assert part(whole, "the teacher") == (0, 2 * trained, trained)
    paraphrases = planned("--objective", "co_rewarding", "--votes_of", "paraphrase")
    assert all(part.name != "the teacher" for part in paraphrases.parts)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gemma2", "gemma3"])
def test_families(family: str) -> None:
    for flags in ((), ("--use_peft", "true"), ("--padding_free", "false", "--bf16", "true")):
        assert part(planned(*flags, model=tiny_model(family)), "activations of the update")[2] > 0


# Advice.


@pytest.mark.slow
def test_advice_saves_what_it_says() -> None:
    """Each flag, parsed and planned anew, takes as much less; the largest saving first."""
    flags = [*SMALL, "--max_completion_length", "64", "--gradient_checkpointing", "false"]
    config, training = parse(flags)
    model = tiny_model(hidden_size=128, intermediate_size=256, num_hidden_layers=3)
    now = footprint(config, training, model.config, GPU, 10).peak
    found = advice(config, training, model.config, replace(GPU, memory=now), 10)
    assert [saved for _, saved, _ in found] == sorted((one[1] for one in found), reverse=True)
    names = [name for name, _, _ in found]
    assert "--gradient_checkpointing true" in names
    assert any("--use_peft true" in name for name in names)
    for name, saved, enough in found:
        changed = parse([*flags, *name.partition(" (")[0].split()])
        peak = footprint(*changed, model.config, replace(GPU, memory=now), 10).peak
        assert now - peak == saved > 0
        assert enough == (peak <= ROOM * now)


# A GPU that is too small: before weights are loaded.

WIDE = AutoConfig.for_model(
    "llama",
    vocab_size=100_000,
    hidden_size=512,
    intermediate_size=512,
    num_hidden_layers=1,
    num_attention_heads=4,
    tie_word_embeddings=True,
)


def checked(memory: int | None) -> str | None:
    return check_fits(*parse(SMALL), WIDE, replace(GPU, memory=memory), 10)


def test_a_gpu_too_small_is_told_by_how_much_and_what_to_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peak = footprint(*parse(SMALL), WIDE, GPU, 10).peak
    memory = int(0.6 * peak)
    of_plan = [("--a 1", 3 * 10**9, False), ("--b 2", 2 * 10**9, True), ("--c 3", 10**9, True)]
    monkeypatch.setattr(plan, "advice", lambda *_: of_plan)
    monkeypatch.setattr(plan, "device_name", lambda: "Tesla T4")
    with pytest.raises(ConfigError) as refused:
        checked(memory)
    message = str(refused.value)
    amounts = [float(one) for one in re.findall(r"([\d.]+) GB", message)]
    sizes = [peak / 1e9, (peak - memory) / 1e9, memory / 1e9]
    assert amounts[:3] == pytest.approx(sizes, abs=0.051)
    assert "more than Tesla T4 has" in message
    ends = "each of these would be enough: --b 2 saves 2.0 GB; --c 3 saves 1.0 GB"
    assert message.endswith(ends)
    of_plan[1:] = []
    with pytest.raises(ConfigError, match=r"none alone is enough: --a 1 saves 3.0 GB$"):
        checked(memory)
    of_plan.clear()
    with pytest.raises(ConfigError, match=r"none alone is enough: a smaller model$"):
        checked(memory)


def test_a_gpu_with_little_room_is_told_and_one_with_enough_is_not() -> None:
    peak = footprint(*parse(SMALL), WIDE, GPU, 10).peak
    assert "may not suffice" in str(checked(int(1.02 * peak)))
    assert checked(int(1.2 * peak)) is None
    assert checked(None) is None


@pytest.fixture
def config_only(tmp_path: Path) -> Path:
    tiny_model().config.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_command(config_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*SMALL, "--model", str(config_only), "--device_type", "cuda"]
    assert _main(["plan", *flags, "--device_memory_gb", "1"]) == 0
    printed = capsys.readouterr().out
    assert "fits: 0.0 GB of 1.0 GB" in printed
    assert "4 questions × 4 completions × at most 8 tokens: 128 tokens" in printed
    assert _main(["plan", *flags, "--device_memory_gb", "0.0001"]) == 0
    printed = capsys.readouterr().out
    assert "DOES NOT FIT" in printed
    assert "saves" in printed


@pytest.mark.slow
def test_the_command_takes_a_recipe(config_only: Path) -> None:
    recipe = str(recipes_folder() / "qwen2.5-math-7b-lora.yaml")
    assert _main(["plan", "--config", recipe, "--model", str(config_only)]) == 0


BAD = {
    "--num_processes 0": "num_processes must be 1 or more",
    "--sharded true": "sharded needs --num_processes",
    "--device_memory_gb 0": "device_memory_gb must be above 0",
    "--device_type tpu": "device_type must be one of",
    "--device_memory 8": "did you mean device_memory_gb?",
    "--model ./nowhere": "no model folder",
}


@pytest.mark.parametrize(("flags", "message"), BAD.items())
def test_bad_input_is_one_line(flags: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert _main(["plan", *SMALL, *flags.split()]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line


# The recipes on the devices they are for, by the models' own numbers.


def qwen3(hidden: int, intermediate: int, layers: int, heads: int) -> dict[str, object]:
    return {
        **{"hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers},
        **{"num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": 128},
        **{"vocab_size": 151936, "tie_word_embeddings": True, "max_position_embeddings": 40960},
    }


SIZES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "Qwen/Qwen2.5-Math-1.5B": (
        1_543_714_304,
        "qwen2",
        {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28}
        | {"num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151936}
        | {"tie_word_embeddings": True, "max_position_embeddings": 4096},
    ),
    "Qwen/Qwen2.5-Math-7B": (
        7_615_616_512,
        "qwen2",
        {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
        | {"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064}
        | {"tie_word_embeddings": False, "max_position_embeddings": 4096},
    ),
    "meta-llama/Llama-3.2-1B-Instruct": (
        1_235_814_400,
        "llama",
        {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64}
        | {"vocab_size": 128256, "tie_word_embeddings": True, "max_position_embeddings": 131072},
    ),
    "google/gemma-3-1b-it": (
        999_885_952,
        "gemma3_text",
        {"hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26}
        | {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256}
        | {"vocab_size": 262144, "sliding_window": 512, "max_position_embeddings": 32768},
    ),
    "Qwen/Qwen3-0.6B": (596_049_920, "qwen3", qwen3(1024, 3072, 28, 16)),
    "Qwen/Qwen3-1.7B": (1_720_574_976, "qwen3", qwen3(2048, 6144, 28, 16)),
    "Qwen/Qwen3-4B": (4_022_468_096, "qwen3", qwen3(2560, 9728, 36, 32)),
    "HuggingFaceTB/SmolLM3-3B": (
        3_075_098_624,
        "smollm3",
        {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36}
        | {"num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 128256}
        | {"tie_word_embeddings": True, "max_position_embeddings": 65536, "pad_token_id": 0},
    ),
}
EIGHT = Device("cuda", 80 * 10**9, processes=8)
SHARDED = replace(EIGHT, sharded=True)
SMALLER = Device("cuda", 24 * 10**9)


@pytest.mark.parametrize(
    ("recipe", "device", "fits"),
    [
        pytest.param("qwen2.5-math-1.5b", GPU, True, marks=pytest.mark.slow),
        pytest.param("qwen2.5-math-1.5b", SMALLER, False, marks=pytest.mark.slow),
        pytest.param("qwen2.5-math-1.5b-lora", SMALLER, True, marks=pytest.mark.slow),
        pytest.param("qwen2.5-math-7b", SHARDED, True, marks=pytest.mark.slow),
        pytest.param("qwen2.5-math-7b", EIGHT, False, marks=pytest.mark.slow),
        pytest.param("qwen2.5-math-7b-lora", SMALLER, True, marks=pytest.mark.slow),
        pytest.param(
            *("qwen2.5-math-7b-lora --tokens_per_microbatch 16384", GPU, True),
            marks=pytest.mark.slow,
        ),
        ("llama-3.2-1b", GPU, True),
        pytest.param("gemma-3-1b", GPU, True, marks=pytest.mark.slow),
        pytest.param("qwen3-0.6b", SMALLER, True, marks=pytest.mark.slow),
        pytest.param("qwen3-1.7b-lora", SMALLER, True, marks=pytest.mark.slow),
        pytest.param("qwen3-4b-lora", SMALLER, True, marks=pytest.mark.slow),
        pytest.param("smollm3-3b-lora", SMALLER, True, marks=pytest.mark.slow),
    ],
)
def test_recipes_fit_the_devices_they_name(recipe: str, device: Device, fits: bool) -> None:
    name, *flags = recipe.split()
    config, training = parse(["--config", str(recipes_folder() / f"{name}.yaml"), *flags])
    parameters, family, shape = SIZES[str(config.model)]
    model_config = AutoConfig.for_model(family, **shape)
    found = footprint(config, training, model_config, device, 512)
    shares = device.processes if device.sharded else 1
    itemsize = 4 if config.model_dtype == "float32" else 2
    weights = part(found, "weights")[2] * shares
    adapters = part(found, "gradients")[2] if config.use_peft else 0
    assert weights - adapters == pytest.approx(parameters * itemsize, rel=1e-4)
    assert (found.peak <= ROOM * (device.memory or 0)) == fits


def test_a_base_in_4_bits_is_smaller() -> None:
    """The linear layers of 2 × 4 · 64² + 3 · 64 · 128 numbers at half a byte and 1/16 more."""
    plans = [
        parse(["--questions=arithmetic", "--use_peft", *more])
        for more in ([], ["--load_in_4bit", "--model=x"])
    ]
    model_config = AutoConfig.for_model(
        "llama",
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 32},
        **{"num_attention_heads": 4, "num_key_value_heads": 4},
    )
    whole, small = (footprint(*plan, model_config, GPU, 8) for plan in plans)
    linears = 2 * (4 * 64 * 64 + 3 * 64 * 128)
    spared = part(whole, "weights")[2] - part(small, "weights")[2]
    assert spared == linears * 4 - linears * 9 // 16
    assert any("in 4 bits" in note for note in small.notes)
