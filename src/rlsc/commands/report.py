"""`rlsc report`: report.html made again, for one folder, several, or a run that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlsc.commands.arguments import Parser, unknown_message
from rlsc.errors import ConfigError
from rlsc.report import watch, write_html, write_html_of_several
from rlsc.runtime import console


def parse_report(argv: Sequence[str]) -> tuple[list[Path], Path | None, bool]:
    """Folders, the file for several of them, and whether to follow a run that goes on."""
    usage = "DIR [DIR …] [--output_file FILE.html] [--watch]"
    parser = Parser("report", usage, (__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="Folder of a run.")
    parser.add_argument(
        "--output_file", default=None, type=Path, metavar="FILE.html", help="Of several runs."
    )
    parser.add_argument(
        "--watch", default=False, action="store_true", help="Follow a run that goes on."
    )
    values, unknown = parser.known(argv)
    if unknown:
        raise ConfigError(unknown_message(unknown[0], values))
    return values["folders"], values["output_file"], values["watch"]


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
