"""The embedded model's kept folder, with a tiny model in the GGUF file's place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rlsc.errors import ModelError
from rlsc.models import embedded
from tests.conftest import tiny_model, tiny_tokenizer


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Each reading of the file, by its dtype."""
    calls: list[torch.dtype] = []

    def read(path: Path, dtype: torch.dtype):
        calls.append(dtype)
        return tiny_model().to(dtype), tiny_tokenizer()

    monkeypatch.setattr(embedded, "read_gguf", read)
    monkeypatch.setattr(embedded, "cached_assets_path", lambda *_, **__: tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    return calls


def test_the_file_is_read_once(reads: list[torch.dtype], tmp_path: Path) -> None:
    file = tmp_path / "some.gguf"
    first, tokenizer = embedded.load_embedded(file, torch.float32)
    again, _ = embedded.load_embedded(file, torch.bfloat16)
    assert reads == [torch.float32]
    assert first.config._name_or_path == "some"
    for read, kept, rounded in zip(
        *(model.state_dict().values() for model in (tiny_model(), first, again)), strict=True
    ):
        assert torch.equal(read, kept)
        assert torch.equal(read.bfloat16(), rounded)
    assert tokenizer.get_vocab() == tiny_tokenizer().get_vocab()
    assert embedded.embedded_tokenizer(file).chat_template == tiny_tokenizer().chat_template
    assert embedded.embedded_config(file).vocab_size == first.config.vocab_size
    assert [folder.name[:4] for folder in (tmp_path / "kept").iterdir()] == ["some"]


def test_another_file_is_read_anew(reads: list[torch.dtype], tmp_path: Path) -> None:
    file = tmp_path / "some.gguf"
    embedded.load_embedded(file, torch.float32)
    file.write_bytes(b"GGUF, another")
    embedded.load_embedded(file, torch.float32)
    assert len(reads) == 2


def test_where_nothing_can_be_kept_the_file_is_read_each_time(
    reads: list[torch.dtype], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(embedded.os, "rename", full)
    for _ in range(2):
        embedded.load_embedded(tmp_path / "some.gguf", torch.float32)
    assert len(reads) == 4  # each tries to keep it, then reads it
    assert not list((tmp_path / "kept").iterdir())


def test_a_damaged_folder_is_named(reads: list[torch.dtype], tmp_path: Path) -> None:
    embedded.load_embedded(tmp_path / "some.gguf", torch.float32)
    (folder,) = (tmp_path / "kept").iterdir()
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="delete it, to have it anew") as caught:
        embedded.load_embedded(tmp_path / "some.gguf", torch.float32)
    assert str(folder) in str(caught.value)
