"""What macOS and Windows lack is not needed to import any module: stood in for here, on Linux."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rlsc

SOURCE = Path(rlsc.__file__).parent
MODULES = sorted(
    ".".join(("rlsc", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for file in SOURCE.rglob("*.py")
    if file.name != "__main__.py"
)

# Other packages know their own ways around what is missing: they are imported first, whole. Then
# rlsc is forgotten, Unix is taken away, and rlsc comes again. `os.name` stays: pathlib goes by it.
FIRST = """
import importlib, os, signal, sys
for name in {modules}:
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] in ("rlsc", "extra")]:
    del sys.modules[name]
"""
WITHOUT_UNIX = """
for name in "resource fcntl pwd grp termios tty pty syslog readline curses".split():
    sys.modules[name] = None
for name in (
    "fork forkpty register_at_fork getuid geteuid getgid getpgid killpg setsid uname sysconf nice "
    "sched_getaffinity getloadavg mkfifo chown fchmod statvfs wait3 O_CLOEXEC O_NONBLOCK"
).split():
    delattr(os, name)
for name in "SIGKILL SIGALRM SIGHUP SIGUSR1 SIGQUIT alarm setitimer pause".split():
    delattr(signal, name)
def no_files_of_linux(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc", "/sys", "/dev")):
        raise FileNotFoundError(arguments[0])
sys.addaudithook(no_files_of_linux)
sys.platform = "win32"
"""
AGAIN = """
for name in {modules}:
    importlib.import_module(name)
print("imported", len({modules}))
"""


def imported_without_unix(modules: list[str], *paths: Path) -> subprocess.CompletedProcess[str]:
    code = (FIRST + WITHOUT_UNIX + AGAIN).format(modules=modules)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [SOURCE.parent, *paths]))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(sys.platform != "linux", reason="it takes away what Linux has")
def test_every_module_is_imported_without_what_is_unix_alone() -> None:
    done = imported_without_unix(MODULES)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"imported {len(MODULES)}\n"
    assert len(MODULES) > 150


@pytest.mark.skipif(sys.platform != "linux", reason="it takes away what Linux has")
@pytest.mark.parametrize(
    "line",
    [
        "import resource",
        "import os; os.fork",
        "from os import sysconf",
        "from signal import SIGKILL",
        "open('/proc/self/statm').close()",
    ],
)
def test_it_finds_what_is_unix_alone(line: str, tmp_path: Path) -> None:
    (tmp_path / "extra.py").write_text(line + "\n", "utf-8")
    done = imported_without_unix(["extra"], tmp_path)
    assert done.returncode == 1
    assert "extra.py" in done.stderr
