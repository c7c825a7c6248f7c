"""vLLM for real, on a CPU: `make test-vllm` installs it and runs these."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from scipy import stats

from rlsc.commands.main import _main
from rlsc.config.engine import EngineArguments
from rlsc.engines import SamplingParams, create_engine
from rlsc.engines.hf import HFEngine
from rlsc.errors import ConfigError
from rlsc.logprobs.padded_rows import make_rows, pad
from rlsc.logprobs.scorer import score_completions
from rlsc.types import Prompt
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.commands.test_train import arguments

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed: make test-vllm", allow_module_level=True)

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
VOCABULARY, STOPS = 320, (0, 5)
SIZES = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 32, "vocab_size": VOCABULARY}
PROMPTS = [
    Prompt(str(length), "", tuple((7 * i + length) % (VOCABULARY - 10) + 9 for i in range(length)))
    for length in (1, 9, 40)
]


def small_model() -> torch.nn.Module:
    """Its head shares the embedding's weight, as small models' do."""
    return tiny_model("llama", initializer_range=0.2, tie_word_embeddings=True, **SIZES)


def params(**changes) -> SamplingParams:
    settings = {"max_new_tokens": 12, "stop_token_ids": STOPS, "temperature": 0.5} | changes
    return SamplingParams(**settings)


def perturb(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * parameter.std() * torch.randn_like(parameter))


@pytest.fixture(scope="module")
def colocated():
    model = small_model()
    config = EngineArguments(engine="vllm", vllm_max_model_length=128)
    return model, create_engine(config, model, tiny_tokenizer(), torch.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """It serves what a run left, as a user would: plain transformers files."""
    base, run = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("served") / "run"
    small_model().save_pretrained(base)
    tiny_tokenizer().save_pretrained(base)
    quick = ["--max_steps", "1", "--eval", "none", "--guard", "off", "--save_strategy", "no"]
    assert _main(["train", *arguments(base, run, *quick)]) == 0
    folder = run / "model"
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)),
        *("--port", str(port), "--enforce-eager", "--dtype", "float32", "--max-model-len", "128"),
        *("--logprobs-mode", "processed_logprobs"),
        *("--worker-extension-cls", "rlsc.engines.vllm_worker.PolicyWorker"),
    ]
    environment = os.environ | {"VLLM_SERVER_DEV_MODE": "1"}
    with Path(folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            time.sleep(0.5)
            assert process.poll() is None, Path(folder / "log").read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2)
                break
            except OSError:
                continue
        model = small_model()
        config = EngineArguments(engine="vllm", vllm_mode="server", vllm_server_base_url=url)
        yield model, create_engine(config, model, tiny_tokenizer(), torch.float32)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(params=["colocated", "server"])
def pair(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)


def difference(model, groups, temperature: float) -> float:
    """The largest difference of a token's log-prob to the training forward's."""
    batch = pad(make_rows(groups, merge_duplicates=False))
    with torch.no_grad():
        logps = score_completions(model, batch, temperature).logps_BT
    completions = [c for group in groups for c in group.completions]
    return max(
        (torch.tensor(c.logps) - row[: len(c.logps)]).abs().max().item()
        for c, row in zip(completions, logps, strict=True)
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_log_probs_are_those_of_the_training_forward(pair, temperature: float) -> None:
    model, engine = pair
    groups = engine.generate(PROMPTS, 4, params(temperature=temperature), [1, 2, 3])
    assert [len(group.completions) for group in groups] == [4, 4, 4]
    assert [group.prompt for group in groups] == PROMPTS
    assert difference(model, groups, temperature) < 1e-3


def test_greedy_is_that_of_generate(pair) -> None:
    model, engine = pair
    greedy = params(temperature=0.0)
    reference = HFEngine(model, tiny_tokenizer(), torch.float32).generate(
        PROMPTS, 1, greedy, [0] * 3
    )
    groups = engine.generate(PROMPTS, 1, greedy, [0] * 3)
    for mine, theirs in zip(groups, reference, strict=True):
        (a,), (b,) = mine.completions, theirs.completions
        assert (a.token_ids, a.finish_reason) == (b.token_ids, b.finish_reason)
        assert a.logps == pytest.approx(b.logps, abs=1e-3)


def test_sync_takes_over_new_weights(pair) -> None:
    """After a step the engine's log-probs are the new model's, those of a tied head too."""
    model, engine = pair
    perturb(model)
    stale = difference(model, engine.generate(PROMPTS, 4, params(), [1, 2, 3]), 0.5)
    engine.sync(model)
    fresh = difference(model, engine.generate(PROMPTS, 4, params(), [1, 2, 3]), 0.5)
    assert fresh < 1e-3 < 0.1 < stale


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_the_sampled_distribution(colocated, top_p: float) -> None:
    """χ² of first tokens against the softmax, with and without top-p."""
    model, engine = colocated
    n = 2000
    setting = params(max_new_tokens=1, top_p=top_p, temperature=0.7)
    (group,) = engine.generate(PROMPTS[1:2], n, setting, [3])
    with torch.no_grad():
        logits = model(torch.tensor([PROMPTS[1].token_ids])).logits[0, -1].double() / 0.7
    probs, order = logits.softmax(-1).sort(descending=True)
    keep = probs.cumsum(0) - probs < top_p
    expected = torch.zeros(VOCABULARY, dtype=torch.float64)
    expected[order[keep]] = probs[keep] / probs[keep].sum()
    counts = torch.bincount(
        torch.tensor([c.token_ids[0] for c in group.completions]), minlength=VOCABULARY
    )
    common = expected * n >= 5
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    wanted = [*(expected[common] * n).tolist(), float(expected[~common].sum() * n)]
    if wanted[-1] == 0:
        assert observed.pop() == 0
        wanted.pop()
    assert len(wanted) > 3
    assert stats.chisquare(observed, wanted, sum_check=False).pvalue > 1e-3
    for one in group.completions[:50]:
        assert one.logps[0] == pytest.approx(expected[one.token_ids[0]].log().item(), abs=1e-3)


def test_ends(pair) -> None:
    """The cap, a stop token, a stop string; prompts that end at once."""
    _, engine = pair
    groups = engine.generate(
        PROMPTS, 8, params(temperature=2.0, stop_token_ids=tuple(range(40))), [1, 2, 3]
    )
    completions = [c for group in groups for c in group.completions]
    assert {c.finish_reason for c in completions} == {"stop", "length"}
    for one in completions:
        assert len(one.token_ids) == len(one.logps) <= 12
        assert (one.token_ids[-1] < 40) == (one.finish_reason == "stop")
        assert not any(token < 40 for token in one.token_ids[:-1])


def test_too_long_a_prompt_is_refused(pair) -> None:
    _, engine = pair
    with pytest.raises(ConfigError, match="exceed vLLM's 128"):
        engine.generate(PROMPTS, 1, params(max_new_tokens=100), [0] * 3)


def test_a_server_that_is_not_there() -> None:
    config = EngineArguments(
        engine="vllm", vllm_mode="server", vllm_server_base_url="http://127.0.0.1:9"
    )
    with pytest.raises(ConfigError, match="no vLLM server at"):
        create_engine(config, small_model(), tiny_tokenizer(), torch.float32)


def test_a_served_model_talks_by_its_chat_template(server) -> None:
    _, engine = server
    body = {"messages": [{"role": "user", "content": "What is 3 + 8?"}], "max_tokens": 4}
    url = f"{engine._url}/v1/chat/completions"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    answer = json.load(urllib.request.urlopen(request, timeout=60))
    assert answer["usage"]["completion_tokens"] > 0
    prompt = tiny_tokenizer().apply_chat_template(body["messages"], add_generation_prompt=True)
    assert answer["usage"]["prompt_tokens"] == len(prompt["input_ids"])
