"""Engines by name: the table, what each says of itself, and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rlsc.config.engine import ENGINES, EngineArguments, check_engine
from rlsc.engines import Engine, SamplingParams, create_engine, engine_class
from rlsc.errors import ConfigError
from rlsc.types import Prompt
from tests.conftest import tiny_model, tiny_tokenizer

OWN = """
from rlsc.engines import Engine
from rlsc.engines.base import make_completion
from rlsc.types import CompletionGroup

class Zeros(Engine):
    def __init__(self, model, tokenizer, dtype):
        self.tokenizer = tokenizer

    def sync(self, model): ...

    def generate(self, prompts, n, params, seeds, on_progress=None):
        completion = make_completion(self.tokenizer, [0], [0.0], params)
        return [CompletionGroup(prompt, (completion,) * n) for prompt in prompts]

class NoEngine: ...
"""


def named(name: str, **settings: object) -> EngineArguments:
    config = EngineArguments(engine=name, **settings)
    check_engine(config)
    return config


def test_what_the_engines_say_of_themselves() -> None:
    classes = {name: engine_class(named(name)) for name in ENGINES}
    assert all(issubclass(engine, Engine) for engine in classes.values())
    assert {name for name, engine in classes.items() if engine.foreign} == {"vllm"}
    assert {name for name, engine in classes.items() if engine.takes_zero3} == {"vllm"}
    assert {name for name, engine in classes.items() if not engine.seeded} == {"vllm"}
    assert {name: engine.fallback for name, engine in classes.items() if engine.fallback} == {
        "native": "hf"
    }


def test_a_server_is_another_variant_of_vllm() -> None:
    config = named("vllm", vllm_mode="server", vllm_server_base_url="http://there:1")
    engine = engine_class(config)
    engine.check_installed()  # nothing is needed here
    assert engine.place(config) == "the server at http://there:1 (not asked)"
    assert engine.smaller(config) == []
    assert "vllm_mode" in dict(engine_class(named("vllm")).smaller(named("vllm")))


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "vllm"])
def test_what_is_seeded_repeats_itself(name: str) -> None:
    engine = create_engine(named(name), tiny_model(), tiny_tokenizer(), torch.float32)
    assert engine.seeded
    prompts = [Prompt(str(length), "", tuple(range(3, 3 + length))) for length in (2, 5)]
    params = SamplingParams(max_new_tokens=6, stop_token_ids=(0,))
    texts = [engine.generate(prompts, 3, params, [1, 2]) for _ in range(2)]
    assert texts[0] == texts[1] != engine.generate(prompts, 3, params, [3, 4])


def test_an_engine_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "my_engine.py"
    file.write_text(OWN)
    config = named(f"{file}:Zeros")
    engine = create_engine(config, tiny_model(), tiny_tokenizer(), torch.float32)
    engine.release()
    prompt = Prompt("1", "", (3,))
    (group,) = engine.generate([prompt], 2, SamplingParams(4, (0,)), [1])
    assert [completion.finish_reason for completion in group.completions] == ["stop", "stop"]
    with pytest.raises(ConfigError, match=r"NoEngine is no subclass of rlsc\.Engine"):
        engine_class(named(f"{file}:NoEngine"))
    with pytest.raises(ConfigError, match="no such file"):
        engine_class(named(f"{tmp_path}/other.py:Zeros"))


def test_an_unknown_name() -> None:
    with pytest.raises(ConfigError, match="engine must be one of native, hf, vllm, auto"):
        named("sglang")
