"""A run beside the untrained model at its best, chosen on validation questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsc.engines.native.engine import NativeEngine
from rlsc.records.results import TrainingResults, read_results_of
from tests.smoke.conftest import command, libraries_as_they_were, read_jsonl

FLAGS = """--questions arithmetic:two_digit --max_steps 1 --num_generations 2 --guard off
    --eval_limit 4 --per_device_train_batch_size 2 --max_completion_length 4 --eval_samples 0
    --bf16 false --eval_baselines true --save_model false --disable_tqdm true""".split()


def test_the_best_way_is_chosen_on_validation_and_asked_on_held_out(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each temperature in two calls: four worked sums end at a text, the other prompts do not."""
    calls: list[int] = []
    generate = NativeEngine.generate

    def counted(self, prompts, *args, **how):
        calls.append(len(prompts))
        return generate(self, prompts, *args, **how)

    monkeypatch.setattr(NativeEngine, "generate", counted)
    run = tmp_path / "run"
    with libraries_as_they_were():
        assert command("train", "--model", model_folder, *FLAGS, "--output_dir", run) == 0
    assert sorted(size for size in calls if size > 4) == [39, 39, 3 * 39, 3 * 39]
    found = read_results_of(TrainingResults, run).evaluation
    assert found is not None
    assert found.base is not None
    (greedy, best) = found.base.scores
    assert greedy.setting.label == "greedy"
    assert best.setting.label == "untrained-best"
    assert best.n == greedy.n == 4
    known = [one for one in found.tried if one.accuracy]
    assert {one.n for one in known} == {39}
    highest = max(one.accuracy.value for one in known if one.accuracy)
    (same,) = {
        one.accuracy.value
        for one in known
        if one.accuracy
        and (one.setting.template, one.setting.suffix, one.setting.temperature)
        == (best.setting.template, best.setting.suffix, best.setting.temperature)
        and one.setting.max_new_tokens == best.setting.max_new_tokens
    }
    assert same == highest
    rows = read_jsonl(run / "eval" / "before" / "evaluation" / "untrained-best.jsonl")
    assert len(rows) == 4
    assert "are neither trained on nor held out" in (run / "report.md").read_text("utf-8")
