"""Programs in bubblewrap, on Linux: no files but Python's, no network, no other process."""

from __future__ import annotations

import glob
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from rlsc.environments.sandbox.executor import Limits, Outcome, too_long
from rlsc.environments.sandbox.launch import run_child
from rlsc.environments.sandbox.process import CHILD, PYTHON_FLAGS, environment, interpreter
from rlsc.environments.sandbox.seccomp import filter_program
from rlsc.errors import SandboxError

_INSIDE = "/child.py"
_NOBODY = "65534"
_PACKAGES = ("site-packages", "dist-packages")


class BwrapExecutor:
    """Runs a program in namespaces of its own, by the system's ``bwrap`` (0.8 or later).

    Inside are, read-only, the base interpreter's standard library and the loader's folders; site-
    packages are empty. Raises `SandboxError` where bubblewrap is missing, and for root without the
    filter of system calls: the kernel does not limit the number of root's processes, so nothing but
    the filter stops a fork bomb there.
    """

    name = "bwrap"
    python = platform.python_version()

    def __init__(self) -> None:
        program = shutil.which("bwrap")
        if program is None:
            raise SandboxError("bwrap is not there: apt-get install bubblewrap")
        self.filter = filter_program()
        if self.filter is None and os.geteuid() == 0:
            raise SandboxError("root needs the filter of system calls: pip install 'rlsc[sandbox]'")
        self._command = [program, *_options()]

    def run(
        self, program: str, calls: Sequence[str], limits: Limits, hash_seed: int
    ) -> list[Outcome]:
        """As `Executor.run`."""
        unread = too_long(program, calls)
        if unread is not None:
            return unread
        command = list(self._command)
        for name, value in environment(hash_seed).items():
            command += ["--setenv", name, value]
        # Who is the first process in there is waited for by bwrap itself, and says so by `info`.
        reads, writes = os.pipe()
        numbers = [writes]
        command += ["--as-pid-1", "--info-fd", str(writes)]
        if self.filter is not None:
            numbers.append(_sealed(self.filter))
            command += ["--seccomp", str(numbers[-1])]
        command += ["--", interpreter(), *PYTHON_FLAGS, _INSIDE]
        try:
            return run_child(command, program, calls, limits, env={}, pass_fds=numbers, info=reads)
        finally:
            for number in (reads, *numbers):
                os.close(number)


def _options() -> list[str]:
    """bwrap's, but what differs from run to run."""
    options = [
        *("--unshare-all", "--unshare-user", "--disable-userns"),
        *("--die-with-parent", "--new-session", "--clearenv"),
        *("--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "sandbox", "--cap-drop", "ALL"),
    ]
    folders = list(_folders())
    for source, target in folders:
        options += ["--ro-bind" if source == target else "--symlink", source, target]
    options += ["--ro-bind", interpreter(), interpreter()]
    for folder in _site_packages([target for source, target in folders if source == target]):
        options += ["--tmpfs", folder, "--remount-ro", folder]
    options += ["--ro-bind", str(CHILD), _INSIDE, "--dev-bind", os.devnull, os.devnull]
    # Nothing can be written anyway (RLIMIT_FSIZE is 0): so no empty files either.
    return [*options, "--dir", "/tmp", "--chdir", "/tmp", "--remount-ro", "/"]


def _folders() -> Iterator[tuple[str, str]]:
    """(what, where): the loader's folders, and the base interpreter's; a link as a link."""
    prefix = Path(interpreter()).parents[1]
    own = [str(prefix / name) for name in ("lib", "lib64")]
    for folder in dict.fromkeys(["/lib", "/lib64", "/usr/lib", "/usr/lib64", *own]):
        if os.path.islink(folder):
            yield os.readlink(folder), folder
        elif os.path.isdir(folder):
            yield folder, folder


def _site_packages(folders: list[str]) -> list[str]:
    """Every folder of packages that the bound ones hold."""
    site_packages = set()
    for folder in folders:
        for name in _PACKAGES:
            for middle in ("", "*/"):
                site_packages |= set(glob.glob(f"{glob.escape(folder)}/{middle}{name}"))
    return sorted(
        path for path in site_packages if os.path.isdir(path) and not os.path.islink(path)
    )


def _sealed(content: bytes) -> int:
    """A file in memory with this content, at its beginning; bwrap reads it to its end."""
    number = os.memfd_create("filter")
    os.write(number, content)
    os.lseek(number, 0, os.SEEK_SET)
    return number
