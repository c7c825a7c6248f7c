"""The model card, and pushing to a Hub that is made up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import HFValidationError

from rlsc.commands import hub
from rlsc.commands.arguments import parse
from rlsc.commands.main import _main
from rlsc.commands.train import run
from tests.smoke.commands.test_train import arguments


class FakeHub:
    """What the library asks of `HfApi`, written down."""

    known = True
    full = False

    def __init__(self, token: str | None = None) -> None:
        self.token = token

    def whoami(self) -> dict[str, str]:
        if not self.known:
            raise OSError("401: Invalid user token")
        return {"name": "me"}

    def create_repo(self, name: str, **more: object) -> SimpleNamespace:
        if " " in name:
            raise HFValidationError("Repo id must use alphanumeric chars")
        FakeHub.made = (name, more)
        return SimpleNamespace(repo_id=name)

    def upload_folder(self, folder_path: Path, **more: object) -> None:
        if self.full:
            raise OSError("the Hub is full")
        FakeHub.uploaded = {p.name: p.read_bytes() for p in folder_path.iterdir()}


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeHub]:
    monkeypatch.setattr(hub, "HfApi", FakeHub)
    return FakeHub


def test_a_card_tells_what_a_user_must_know(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my-run"
    run(*parse(arguments(tiny_folder, folder)))
    card = ModelCard.load(folder / "model" / "README.md")
    assert card.data.library_name == "transformers"
    assert "rlsc" in card.data.tags
    for text in (
        "# my-run",
        "2 steps by `rlsc` on 42 questions of arithmetic:single_digit, without labels",
        "| greedy accuracy, % |",
        "n = 5, 2 samples a question",
        "95 % intervals in brackets",
        "## Limits",
        "| learning_rate | 1e-05 |",
        "| command |",
    ):
        assert text in card.content
    assert ".," not in card.content


def test_the_model_and_its_card_are_pushed_and_nothing_else(
    tiny_folder: Path, tmp_path: Path, fake: type[FakeHub], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--push_to_hub", "true", "--hub_model_id", "me/mine", "--hub_private_repo", "true")
    assert _main(["train", *arguments(tiny_folder, tmp_path / "run", *flags)]) == 0
    assert fake.made[0] == "me/mine"
    assert fake.made[1]["private"] is True
    assert {"README.md", "config.json", "model.safetensors"} <= set(fake.uploaded)
    assert not [name for name in fake.uploaded if name.endswith((".jsonl", ".html"))]
    assert b"# me/mine" in fake.uploaded["README.md"]
    assert "pushed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "known", "said"),
    [
        ("--push_to_hub true", True, "--hub_model_id NAME"),
        ("--push_to_hub true --hub_model_id me/mine", False, "hf auth login"),
    ],
)
def test_a_push_that_could_not_be_is_said_before_training(
    flags: str,
    known: bool,
    said: str,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FakeHub, "known", known)
    assert _main(["train", *arguments(tiny_folder, tmp_path / "run", *flags.split())]) == 2
    line = capsys.readouterr().err.strip()
    assert said in line
    assert "\n" not in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "full"), [("me/mine", True), ("not a name", False)])
def test_a_push_that_fails_leaves_the_model_and_says_how(
    name: str,
    full: bool,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FakeHub, "full", full)
    flags = ("--push_to_hub", "true", "--hub_model_id", name)
    assert _main(["train", *arguments(tiny_folder, tmp_path / "run", *flags)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "not pushed" in line
    assert "hf upload" in line
    assert (tmp_path / "run" / "model" / "README.md").exists()
    assert (tmp_path / "run" / "results.json").exists()
