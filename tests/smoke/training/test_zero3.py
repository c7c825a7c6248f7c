"""DeepSpeed's ZeRO-3: its recipe, a few steps of two CPU processes, and what it is refused for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file

from rlsc.errors import ConfigError
from rlsc.objectives import create_objective
from rlsc.training import arguments as config_module
from rlsc.training.preparation import check_sharding, check_zero3
from tests.smoke.commands.test_train import arguments
from tests.smoke.training.test_processes import ROOT, launched, start
from tests.smoke.training.test_trainer import config

ZERO3 = ROOT / "recipes" / "accelerate" / "zero3.yaml"
HOW = ("--config_file", str(ZERO3))
needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None,
    reason="deepspeed is not installed: DS_BUILD_OPS=0 pip install 'rlsc[deepspeed]'",
)


def accelerator(stage: int = 3, **fsdp: object) -> SimpleNamespace:
    plugin = SimpleNamespace(zero_stage=stage) if not fsdp else None
    state = {"deepspeed_plugin": plugin, "fsdp_plugin": SimpleNamespace(**fsdp) if fsdp else None}
    return SimpleNamespace(state=SimpleNamespace(**state))


@pytest.mark.parametrize("name", ["zero3", "fsdp2"])
def test_recipes_are_what_accelerate_reads(name: str) -> None:
    found = load_config_from_file(str(ZERO3.with_name(f"{name}.yaml")))
    if name == "zero3":
        assert found.distributed_type == "DEEPSPEED"
        assert found.deepspeed_config["zero_stage"] == 3
        assert found.deepspeed_config["zero3_save_16bit_model"] is True
    else:
        assert found.distributed_type == "FSDP"
        assert found.fsdp_config["fsdp_version"] == 2
    assert found.mixed_precision == "no"


def test_without_deepspeed_a_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'rlsc\[deepspeed\]'"):
        config(tmp_path, deepspeed={"zero_optimization": {"stage": 3}})
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ConfigError, match="DeepSpeed"):
        config(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objective": "self_certainty"}, "--objective self_certainty"),
        ({"rollout_policy": "base"}, "--rollout_policy base"),
        ({"skip_weight_below": 0.1}, "--skip_weight_below"),
        ({"dataloader_drop_last": False}, "--dataloader_drop_last false"),
        ({"guard": "stop"}, "--guard stop"),
    ],
)
def test_what_needs_whole_weights_is_refused_under_zero3(
    settings: dict, said: str, tmp_path: Path
) -> None:
    args = config(tmp_path, **settings)
    with pytest.raises(ConfigError, match=said):
        check_zero3(accelerator(), args, create_objective(args))
    check_zero3(accelerator(stage=2), args, create_objective(args))
    for objective in ("rlsc", "ttrl"):
        plain = config(tmp_path, objective=objective)
        check_zero3(accelerator(), plain, create_objective(plain))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fsdp_version": 1}, "fsdp_version: 2"),
        ({"cpu_ram_efficient_loading": True}, "fsdp_cpu_ram_efficient_loading: false"),
        ({"state_dict_type": "SHARDED_STATE_DICT"}, "FULL_STATE_DICT"),
    ],
)
def test_fsdp_as_it_would_not_work_is_refused(changes: dict, said: str, tmp_path: Path) -> None:
    good = {"fsdp_version": 2, "cpu_ram_efficient_loading": False}
    good["state_dict_type"] = "FULL_STATE_DICT"
    check_sharding(accelerator(**good), config(tmp_path))
    with pytest.raises(ConfigError, match=said):
        check_sharding(accelerator(**(good | changes)), config(tmp_path))


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED"])
def test_weights_that_accelerate_would_copy_instead_are_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On CPUs it takes DDP without a word."""
    args, plain = config(tmp_path), SimpleNamespace(state=SimpleNamespace())
    monkeypatch.setattr(type(args), "world_size", property(lambda self: 2))
    check_sharding(plain, args)
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(ConfigError, match="would copy the weights"):
        check_sharding(plain, args)


def test_engines_that_need_whole_weights_are_refused_under_zero3(tmp_path: Path) -> None:
    for engine in ("native", "hf"):
        with pytest.raises(ConfigError, match=f"--engine {engine} and ZeRO-3: .*fsdp2.yaml"):
            check_sharding(accelerator(), config(tmp_path, engine=engine))
    check_sharding(accelerator(), config(tmp_path, engine="vllm"))
    check_sharding(accelerator(stage=2), config(tmp_path))


@needs_deepspeed
def test_deepspeed_reads_what_accelerate_makes_of_the_recipe(tmp_path: Path) -> None:
    from accelerate.utils import DeepSpeedPlugin
    from deepspeed.runtime.config import DeepSpeedConfig

    settings = load_config_from_file(str(ZERO3)).deepspeed_config
    known = ("zero_stage", "zero3_init_flag", "zero3_save_16bit_model", "gradient_clipping")
    plugin = DeepSpeedPlugin(**{name: settings[name] for name in known})
    made = plugin.deepspeed_config | {"train_micro_batch_size_per_gpu": 1, "steps_per_print": 10}
    made = {key: value for key, value in made.items() if value != "auto"}
    assert DeepSpeedConfig(made).zero_config.stage == 3


@needs_deepspeed
def test_two_processes_under_zero3_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On given completions: the update, and each weight whole where an engine takes it over."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    one, two = tmp_path / "one", tmp_path / "two"
    done = start([sys.executable, "-m", "tests.smoke.training.zero3_process", str(one), "4"])
    assert done.returncode == 0, done.stderr[-3000:]
    done = launched(
        2, "--module", "tests.smoke.training.zero3_process", str(two), "2", how=HOW, cpu="false"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = (torch.load(folder / "state.pt", weights_only=True) for folder in (two, one))
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert torch.allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-6)


@needs_deepspeed
def test_native_under_zero3_is_a_line(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    argv = arguments(tiny_folder, tmp_path / "run")
    done = launched(
        2, "--module", "tests.smoke.training.zero3_process", "train", *argv, how=HOW, cpu="false"
    )
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("rlsc: error:")]
    assert lines
    assert all("--engine native and ZeRO-3: this engine samples" in line for line in lines)
    assert "exitcode  : 2" in done.stderr
    assert not (tmp_path / "run" / "config.yaml").exists()
