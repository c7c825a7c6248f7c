"""A run's folder: what it is of, may it be used, what of it is the run's.

`run.json` is written first and says the kind of the run and the form of its records; a folder
without it holds no run. What else lies in a folder is never looked at to find out.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import yaml

from rlsc.errors import ConfigError, OutputError
from rlsc.records.checkpoints import UNFINISHED, checkpoints
from rlsc.records.files import read_json, read_yaml, write_json, write_text
from rlsc.records.identity import IDENTITY, Parts, write_identity
from rlsc.records.legs import LEGS
from rlsc.records.lock import check_free, give_up, take
from rlsc.records.results import (
    OLDER_ADVICE,
    RESULTS,
    SCHEMA_VERSION,
    EvaluationResults,
    TrainingResults,
    check_version,
    read_results,
    read_results_of,
)
from rlsc.records.rows import rows_file
from rlsc.runtime import from_main, is_main, wait

if TYPE_CHECKING:
    from rlsc.records.environment import HowMade

RUN, CONFIG, ENVIRONMENT = "run.json", "config.yaml", "environment.json"
MODEL = "model"
OLD_COMPARISON = "comparison.json"
"""What a comparison left before it had results.json, and no config.yaml."""
_NAMES = {"training": "a training run", "evaluation": "an evaluation", "comparison": "a comparison"}
_REPORT = ("report.md", "report.html", "plot.svg", "plot.png")


class RunFolder:
    """One run's folder; subclasses are its kinds."""

    kind: ClassVar[str]
    artefacts: ClassVar[tuple[str, ...]]
    """What a run leaves beside run.json, the settings and the environment."""
    free: ClassVar[frozenset[str]] = frozenset()
    """Settings that may differ between a run and its resumption."""
    inputs: ClassVar[tuple[str, ...]] = ()
    """Settings that may name a file within the folder, which --overwrite would delete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: list[int | None] = []

    @property
    def holds_run(self) -> bool:
        return (self.path / RUN).exists()

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, and its model, if it left one, is there.

        Raises `OutputError` for results that are damaged or of another version.
        """
        if not (self.path / RESULTS).exists():
            return False
        results = read_results(self.path)
        saved = isinstance(results, TrainingResults) and results.model_saved
        return not saved or (self.path / MODEL).is_dir()

    def check(self, settings: Mapping[str, object], resume: bool, overwrite: bool) -> None:
        """Raise where this run may not use the folder; change nothing.

        `OutputError` where it cannot be written, is in use, holds another run, or holds files of a
        run's names that no run left; `ConfigError` for a resumption with other settings.
        """
        check_writable(self.path)
        check_free(self.path)
        self._seen = [self._begun()]
        if not self.holds_run:
            self.check_empty()
            return
        self.check_kind()
        if resume:
            self.check_same_settings(settings)
        elif not overwrite:
            state = "finished" if self.finished else "unfinished"
            raise OutputError(
                f"{self.path} holds {_NAMES[self.kind]} ({state}): go on with it by --resume, "
                "replace it by --overwrite, or choose another --output_dir"
            )
        inputs = {name: settings.get(name) for name in self.inputs}
        own = settings.get("environment_settings")
        for name, value in own.items() if isinstance(own, Mapping) else ():
            inputs[f"environment_settings {name}"] = value if isinstance(value, str) else None
        for name, value in inputs.items() if overwrite else ():
            path = Path(str(value or "")).expanduser()
            if path.exists() and self.path.resolve() in path.resolve().parents:
                raise OutputError(
                    f"--overwrite would delete --{name} {path}: choose another folder"
                )

    def check_kind(self) -> None:
        """Raise `OutputError` where the folder holds a run of another kind or version."""
        kind = kind_of(self.path)
        if kind != self.kind:
            raise OutputError(f"{self.path} holds {_NAMES[kind]}: choose another --output_dir")

    def check_empty(self) -> None:
        """Raise `OutputError` where the folder holds what a run leaves, but no run."""
        if any((self.path / name).exists() for name in (CONFIG, OLD_COMPARISON)):
            raise OutputError(f"{self.path} holds a run of an older rlsc: {_ELSEWHERE}")
        left = (path.name for path in self._artefacts() if path.exists())
        foreign = next(
            (name for name in left if name != IDENTITY), None
        )  # it comes before run.json
        if foreign is None:
            return
        missing = f"but no run ({RUN} is missing)"
        raise OutputError(f"{self.path} holds {foreign} {missing}: {_ELSEWHERE}")

    def check_same_settings(
        self, settings: Mapping[str, object], free: frozenset[str] | None = None
    ) -> None:
        """Raise where `settings` differ from those stored in the folder, but for the free ones."""
        free = self.free if free is None else free
        try:
            stored = self.read_settings()
        except OutputError as error:
            raise OutputError(f"{error}; start again with --overwrite") from error
        for key in sorted((stored.keys() | settings.keys()) - free):
            if stored.get(key) != settings.get(key):
                raise ConfigError(
                    f"--resume with other settings: {key} was {stored.get(key)!r} in {self.path} "
                    f"and is {settings.get(key)!r} now; give the same, or another --output_dir"
                )

    def prepare(
        self, settings: Mapping[str, object], overwrite: bool, parts: Parts | None = None
    ) -> None:
        """Take the folder, clear the run in it if it is to be overwritten, write what the run is.

        Until `release`, or this process's end, no other run can have it. Raises `OutputError`
        where another one has, or has begun in it since `check`.
        """
        wait()  # until all have checked the folder as it was
        from_main(lambda: self._prepare(settings, overwrite, parts))
        self._seen = [self._begun()]

    def _prepare(
        self, settings: Mapping[str, object], overwrite: bool, parts: Parts | None
    ) -> None:
        try:
            take(self.path)
            if self._seen and self._seen != [self._begun()]:
                raise OutputError(f"another run has begun in {self.path}: choose another folder")
            if overwrite and self.holds_run:
                self._clear()
            if not self.holds_run:  # of one that was killed before it had begun
                (self.path / IDENTITY).unlink(missing_ok=True)
            if parts is not None:  # before run.json, so that no run is without
                write_identity(self.path, parts)
            write_json(self.path / RUN, {"kind": self.kind, "schema_version": SCHEMA_VERSION})
            write_text(self.path / CONFIG, yaml.safe_dump(dict(settings), allow_unicode=True))
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(_not_writable(self.path, error)) from error

    def release(self) -> None:
        """Let another run have the folder."""
        give_up(self.path)

    def _begun(self) -> int | None:
        """Tells one beginning from another: when run.json was written."""
        file = self.path / RUN
        return file.stat().st_mtime_ns if file.exists() else None

    def read_settings(self) -> dict[str, Any]:
        """config.yaml. Raises `OutputError` where it is missing or damaged."""
        return read_yaml(self.path / CONFIG)

    def read_environment(self) -> HowMade:
        """environment.json. Raises `OutputError` where it is missing or damaged."""
        return cast("HowMade", read_json(self.path / ENVIRONMENT))

    def _artefacts(self) -> list[Path]:
        # run.json comes last: a folder that is being cleared still holds a run until the end.
        return [self.path / name for name in (*self.artefacts, ENVIRONMENT, CONFIG, IDENTITY, RUN)]

    def _clear(self) -> None:
        """Remove what a run leaves, and nothing else that may lie in the folder."""
        for path in self._artefacts():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


class TrainingFolder(RunFolder):
    """Of `rlsc train`; answers lie in eval/STAGE/TASK/SETTING.jsonl.

    Stages are `before`, `after` and `step-N`.
    """

    kind = "training"
    artefacts = (
        *_REPORT,
        *(RESULTS, "metrics.jsonl", "guard.jsonl", "probe.json", "completions", "eval"),
        "tasks.jsonl",
        *(MODEL, "adapter"),
    )
    # They change what is shown or how long it goes on.
    free = frozenset({"resume", "overwrite", "max_steps", "disable_tqdm", "output_dir", "merge_to"})
    inputs = ("model", "questions", "eval_questions", "sft_rows")

    def results(self) -> TrainingResults | None:
        """Those of a run that is finished; None for one that is not."""
        return read_results_of(TrainingResults, self.path) if self.finished else None

    @classmethod
    def of_model(cls, model: Path) -> TrainingFolder | None:
        """The run, of an older rlsc perhaps, that left this model or adapter; None where none.

        >>> TrainingFolder.of_model(Path("nowhere/model")) is None
        True
        """
        model = model.expanduser()
        if model.parent.name == "adapter":  # of a role
            model = model.parent
        run = cls(model.parent)
        left = model.name in (MODEL, "adapter") and (run.path / CONFIG).is_file()
        return run if left else None

    def stage(self, name: str) -> Path:
        """The folder of the answers of the model at a stage."""
        return self.path / "eval" / name

    def rows(self, stage: str, task: str, label: str) -> Path:
        """The answers to a task in a setting."""
        return rows_file(self.stage(stage), task, label)

    def _artefacts(self) -> list[Path]:
        return [*checkpoints(self.path), self.path / UNFINISHED, *super()._artefacts()]


class EvaluationFolder(RunFolder):
    """Of `rlsc eval`; answers lie in samples/TASK/SETTING.jsonl."""

    kind = "evaluation"
    artefacts = (*_REPORT, RESULTS, "samples")
    free = frozenset({"resume", "overwrite", "compare_to", "trained_on", "output_dir"})
    inputs = ("model", "critic")

    def results(self) -> EvaluationResults:
        """Raises `OutputError` where there are none."""
        return read_results_of(EvaluationResults, self.path)

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def rows(self, task: str, label: str) -> Path:
        """The answers to a task in a setting."""
        return rows_file(self.samples, task, label)


class ComparisonFolder(RunFolder):
    """Of `rlsc compare`: the untrained model's evaluation in base/, runs in LABEL/seed-S/."""

    kind = "comparison"
    artefacts = (*_REPORT, RESULTS, LEGS)

    @property
    def base(self) -> EvaluationFolder:
        return EvaluationFolder(self.path / "base")

    def run(self, label: str, seed: int) -> TrainingFolder:
        return TrainingFolder(self.path / label / f"seed-{seed}")


_FOLDERS: dict[str, type[RunFolder]] = {
    folder.kind: folder for folder in (TrainingFolder, EvaluationFolder, ComparisonFolder)
}
_ELSEWHERE = "choose another --output_dir, or move it away"


def open_folder(path: Path) -> RunFolder:
    """The folder of the kind of run that it holds.

    Raises `OutputError`, in a line, where there is no run, or one of another version of rlsc.
    """
    return _FOLDERS[kind_of(path)](path)


def kind_of(path: Path) -> str:
    """The kind of the run in a folder, by run.json. Raises `OutputError` as `open_folder`."""
    if not (path / RUN).exists():
        if any((path / name).exists() for name in (CONFIG, OLD_COMPARISON, RESULTS)):
            left = f"holds a run of an older rlsc, which left no {RUN}"
            raise OutputError(f"{path} {left}: {OLDER_ADVICE}")
        raise OutputError(f"{path} holds no run of rlsc: name the --output_dir of one")
    content = read_json(path / RUN)
    check_version(f"{path} holds a run", content.get("schema_version"))
    kind = content.get("kind")
    if kind not in _FOLDERS:
        raise OutputError(f"{path / RUN} is damaged: it says no kind of run")
    return str(kind)


def check_writable(folder: Path, flag: str = "--output_dir") -> None:
    """Raise `OutputError` for a folder that cannot be made or written into; leave no trace.

    By a name of its own, since other runs may look at the same moment.
    """
    if not is_main():
        return
    try:
        absolute = folder.absolute()
        there = next(path for path in (absolute, *absolute.parents) if path.exists())
        with tempfile.TemporaryDirectory(dir=there, prefix=".write-test-") as probe:
            (Path(probe) / absolute.relative_to(there)).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(_not_writable(folder, error, flag)) from error


def _not_writable(folder: Path, error: Exception, flag: str = "--output_dir") -> str:
    reason = getattr(error, "strerror", None) or error
    return f"cannot write into {flag} {folder}: {reason}"
