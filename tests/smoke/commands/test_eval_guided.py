"""`rlsc eval --critic`: from two models to the table, gone on with, judged anew, refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlsc.records import GUIDED, PERFECT, PLAIN, RANDOM
from tests.ascii_model import save_ascii_model
from tests.smoke.conftest import (
    command,
    evaluated,
    libraries_as_they_were,
    results,
    samples,
    timeless,
    write_jsonl,
)

TASK = "arithmetic-three_terms"


@pytest.fixture(scope="module")
def critic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ascii_model(tmp_path_factory.mktemp("models") / "critic", seed=4)


@pytest.fixture(autouse=True)
def as_they_were() -> Iterator[None]:
    with libraries_as_they_were():
        yield


def argv(model: Path, critic: object, folder: Path, *more: object) -> list[object]:
    flags = ["--model", model, "--critic", critic, "--output_dir", folder, "--dtype", "float32"]
    if "--benchmarks" not in more:
        flags += ["--benchmarks", "arithmetic:three_terms", "--limit", 4]
    flags += ["--max_new_tokens", 12, "--rollout_batch_size", 2, "--critic_tries", 3]
    return ["eval", *flags, *more]


@pytest.fixture(scope="module")
def done(model_folder: Path, critic_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guided") / "eval"
    with libraries_as_they_were():
        threshold = ("--critic_threshold", 0.999)
        assert command(*argv(model_folder, critic_folder, folder, *threshold)) == 0
    return folder


def test_each_critic_beside_a_majority(done: Path) -> None:
    task = evaluated(done).tasks[TASK]
    found = task.guided
    assert found is not None
    assert [one.critic for one in found.guided] == ["model", "random", "perfect"]
    assert (found.steps, found.tries, found.threshold) == ("sums", 3, 0.999)
    for one in found.guided:
        assert one.score.n == 4
        assert one.difference is not None
        spent = one.tokens.solver + one.tokens.critic
        rows = samples(done)[f"{TASK}/{one.score.setting.label}"]
        assert spent == pytest.approx(
            sum(row["spent"]["sampled"] + row["spent"]["judging"] for row in rows) / 4
        )
        assert one.plain_tokens >= spent
    by_model, by_chance, by_truth = found.guided
    assert by_model.rejected is not None
    assert 0 < by_model.rejected < 1
    assert by_truth.rejected == 1.0  # this model writes no sums
    assert by_chance.tokens.critic == by_truth.tokens.critic == 0 < by_model.tokens.critic
    assert task.tuned.main.setting.temperature == 0  # the evaluation without a critic
    page = (done / "report.md").read_text("utf-8")
    for text in ("Guided by a critic", "| by chance |", "| the truth |", "of at most 3 samples"):
        assert text in page


def test_it_goes_on_to_the_same_end(
    done: Path, model_folder: Path, critic_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(done, tmp_path / "eval")
    (folder / "results.json").unlink()
    label = {GUIDED: 30, PERFECT: 0}
    for name, left in label.items():
        file = folder / "samples" / TASK / f"{name}.jsonl"
        file.write_bytes(file.read_bytes()[: left and -left])
    (folder / "samples" / TASK / f"{PLAIN}.jsonl").unlink()
    more = ("--critic_threshold", 0.999, "--resume")
    assert command(*argv(model_folder, critic_folder, folder, *more)) == 0
    assert timeless(samples(folder)) == timeless(samples(done))
    assert timeless(results(folder)) == timeless(results(done))
    kept = samples(folder)[f"{TASK}/{RANDOM}"]
    assert kept == samples(done)[f"{TASK}/{RANDOM}"]  # its seconds too


def test_stored_answers_are_judged_anew(done: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(done, tmp_path / "eval")
    file = folder / "samples" / TASK / f"{GUIDED}.jsonl"
    text = file.read_text()
    for verdict in ("unparsed", "wrong"):
        text = text.replace(f'"verdict": "{verdict}"', '"verdict": "correct"')
    file.write_text(text)
    assert command("eval", "--regrade", folder) == 0
    assert timeless(results(folder)) == timeless(results(done))


def test_texts_without_a_known_truth(
    model_folder: Path, critic_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where plain answers are shorter than was thought: there are samples enough."""
    monkeypatch.setattr("rlsc.evaluation.guided.arms.shortest_mean", lambda arms: 1e9)
    data = write_jsonl(tmp_path / "mine.jsonl", [{"id": "q", "question": "Why?", "answer": "4"}])
    more = ("--benchmarks", data, "--critic_steps", "line", "--critic_samples", 2)
    assert command(*argv(model_folder, critic_folder, tmp_path / "eval", *more)) == 0
    found = evaluated(tmp_path / "eval").tasks["mine"].guided
    assert found is not None
    assert [one.critic for one in found.guided] == ["model", "random"]
    assert {one.score.setting.samples for one in found.guided} == {2}
    for one in found.guided:
        assert one.plain_tokens >= 2 * (one.tokens.solver + one.tokens.critic)
    assert found.plain.setting.samples > 2  # the first guess
    assert "There is no perfect critic" in (tmp_path / "eval" / "report.md").read_text("utf-8")
    kept = samples(tmp_path / "eval")[f"mine/{PLAIN}"]
    (tmp_path / "eval" / "results.json").unlink()
    assert command(*argv(model_folder, critic_folder, tmp_path / "eval", *more, "--resume")) == 0
    assert samples(tmp_path / "eval")[f"mine/{PLAIN}"] == kept  # its seconds too: none anew


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--critic_tries 1", "critic_tries must be from 2 to 100, not 1"),
        ("--critic_temperature 0", "critic_temperature must be above 0"),
        ("--critic_steps chapters", "critic_steps must be one of"),
        ("--benchmarks arithmetic:two_digit,CHOICE", "is multiple choice, and its answers have no"),
        ("--critic NOWHERE", "no model folder at"),
        ("--critic TEXTS", "has no config.json"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    model_folder: Path,
    critic_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: str,
    message: str,
) -> None:
    rows = [{"id": "q", "question": "Why?", "answer": "A", "choices": ["x", "y"]}]
    choice = write_jsonl(tmp_path / "choice.jsonl", rows)
    given = flags.replace("CHOICE", str(choice)).replace("NOWHERE", str(tmp_path / "nowhere"))
    given = given.replace("TEXTS", str(tmp_path))
    capsys.readouterr()
    folder = tmp_path / "eval"
    assert command(*argv(model_folder, critic_folder, folder, *given.split())) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not folder.exists()


def test_a_critics_settings_are_of_a_critic(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--benchmarks", "arithmetic", "--critic_tries", 3, "--output_dir", tmp_path / "eval"]
    assert command("eval", "--model", model_folder, *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "critic_tries is of a critic: name one with --critic" in line
