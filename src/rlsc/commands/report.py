"""`rlsc report`: report.html made again, for one folder, several, or a run that goes on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rlsc.errors import ConfigError
from rlsc.report.files import watch, write_html, write_html_of_several
from rlsc.runtime.console import console


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see rlsc --help")


def parse_report(argv: Sequence[str]) -> tuple[list[Path], Path | None, bool]:
    """Folders, the file for several of them, and whether to follow a run that goes on."""
    parser = _Parser("rlsc report", add_help=False, allow_abbrev=False)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--output_file", type=Path)
    parser.add_argument("--watch", action="store_true")
    arguments = parser.parse_args(argv)
    return arguments.folders, arguments.output_file, arguments.watch


def run_report(folders: Sequence[Path], file: Path | None, follow: bool) -> None:
    """Raises `RLSCError` for a folder that holds no run."""

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True)

    if follow:
        if len(folders) > 1 or file is not None:
            raise ConfigError("--watch follows one run: name one folder, and no --output_file")
        watch(folders[0], tell)
    elif len(folders) == 1:
        tell(f"report  {write_html(folders[0], file)}")
    else:
        several = list(dict.fromkeys(folders))
        tell(f"report  {write_html_of_several(several, file or Path('report.html'))}")
