"""One run at a time in a folder: by a lock that ends with its process, however that ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlsc.errors import OutputError
from rlsc.records import lock
from rlsc.records.run_folder import TrainingFolder

SETTINGS = {"seed": 0}
HOLDER = """
import sys
from pathlib import Path
from rlsc.records.run_folder import TrainingFolder
TrainingFolder(Path(sys.argv[1])).prepare({"seed": 0}, overwrite=False, parts={})
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_in_use_is_refused_and_a_kill_gives_it_back(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    folder = TrainingFolder(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    for resume, overwrite in ((False, False), (True, False), (False, True)):
        with pytest.raises(OutputError, match=rf"in use by another run \(process {holder.pid} on "):
            folder.check(SETTINGS, resume, overwrite)
    with pytest.raises(OutputError, match="in use by another run"):
        folder.prepare(SETTINGS, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == before
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    folder.check(SETTINGS, resume=True, overwrite=False)
    folder.prepare(SETTINGS, overwrite=False)
    assert f"process {os.getpid()} on " in (tmp_path / lock.LOCK).read_text()
    folder.release()
    folder.release()  # twice is harmless


def test_a_run_that_has_begun_and_ended_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Both have found the folder empty, and one was quicker."""
    quick, slow = TrainingFolder(tmp_path), TrainingFolder(tmp_path)
    for folder in (quick, slow):
        folder.check(SETTINGS, resume=False, overwrite=False)
    quick.prepare(SETTINGS, overwrite=False)
    quick.release()
    with pytest.raises(OutputError, match="another run has begun"):
        slow.prepare({"seed": 1}, overwrite=False)
    assert slow.read_settings() == SETTINGS
    slow.release()


def test_where_a_file_system_cannot_lock_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def no_locks(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "_lock", no_locks)
    with lock.locked(tmp_path):
        assert lock.LOCK in os.listdir(tmp_path)
    assert "cannot lock (No locks available): see to it that no" in capfd.readouterr().out
