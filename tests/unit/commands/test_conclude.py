"""What a run says at its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rlsc.commands import train
from rlsc.environments import DatasetEnvironment, Environment
from rlsc.environments.spc.environment import SPC
from tests.unit.report.runs import training


@pytest.mark.parametrize(
    ("environment", "place"),
    [(DatasetEnvironment(2), "adapter"), (SPC(roles="adapters"), "adapter/critic")],
)
def test_the_adapter_that_is_named_can_be_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: Environment,
    place: str,
) -> None:
    """Of a base in 4 bits nothing else is saved; a folder of several roles' is refused."""
    for name in ("write_results", "write_report", "print_results"):
        monkeypatch.setattr(train, name, lambda *of: None)
    trainer: Any = SimpleNamespace(environment=environment)
    config: Any = SimpleNamespace(save_model=True, merge_to=None)
    settings: Any = SimpleNamespace(push_to_hub=False)
    adapter = train._adapter_folder(tmp_path, trainer)
    train._conclude(config, settings, tmp_path, training(model_saved=False), adapter)
    said = capsys.readouterr().out
    assert f"adapter {tmp_path / place}: --adapter {tmp_path / place} with the same" in said
