"""How a GGUF file's tokenizer cuts text: in the way that the file names, by its own writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel

from rlsc.models import gguf
from tests.conftest import tiny_tokenizer

TEXT = "\n\n1234 is"


def written(folder: Path, way: str | None) -> Path:
    file = folder / "x.gguf"
    writer = GGUFWriter(file, "llama")
    if way is not None:
        writer.add_tokenizer_pre(way)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return file


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers reads one: whatever the file names, as GPT-2's."""

    class Read:
        @staticmethod
        def from_pretrained(folder: Path, gguf_file: str) -> object:
            tokenizer = tiny_tokenizer()
            tokenizer.backend_tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
            return tokenizer

    monkeypatch.setattr(gguf, "AutoTokenizer", Read)


def pieces(file: Path) -> list[str]:
    found = gguf.gguf_tokenizer(file).backend_tokenizer.pre_tokenizer.pre_tokenize_str(TEXT)
    return [piece for piece, _ in found]


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("smollm", ["ĊĊ", "1", "2", "3", "4", "Ġis"]),
        ("qwen2", ["ĊĊ", "1", "2", "3", "4", "Ġis"]),
        ("llama-bpe", ["ĊĊ", "123", "4", "Ġis"]),
        ("gpt-2", ["Ċ", "Ċ", "1234", "Ġis"]),
        (None, ["Ċ", "Ċ", "1234", "Ġis"]),
    ],
)
def test_text_is_cut_as_the_file_says(
    way: str | None, expected: list[str], read: None, tmp_path: Path, capsys
) -> None:
    assert pieces(written(tmp_path, way)) == expected
    assert capsys.readouterr().out == ""


def test_a_way_that_is_not_known_is_said(read: None, tmp_path: Path, capsys) -> None:
    assert pieces(written(tmp_path, "falcon")) == ["Ċ", "Ċ", "1234", "Ġis"]
    assert "x.gguf cuts text as 'falcon' does, which is not known here" in capsys.readouterr().out
