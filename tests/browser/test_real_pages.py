"""The pages that real runs leave: no errors, no requests, a phone, axe, print."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from rlsc.records.results import EvaluationResults, read_results_of
from tests.smoke.commands.test_compare import recipe
from tests.smoke.commands.test_train_benchmarks import FLAGS
from tests.smoke.conftest import arguments, command, data, libraries_as_they_were, model_folder

__all__ = ["data", "model_folder"]  # fixtures

TRAINED = ("--eval", "auto", "--eval_samples", 2, "--eval_limit", 6, "--eval_baselines", "true")


@pytest.fixture(scope="module")
def pages(
    model_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """report.html of a training run, of an evaluation against another, and of a comparison."""
    root = tmp_path_factory.mktemp("runs")
    paths = ("--model", model_folder, "--data_dir", data)
    with libraries_as_they_were():
        more = ("--controls", "true", *TRAINED, "--output_dir", root / "train")
        assert command("train", *FLAGS, *paths, "--questions", "arithmetic", *more) == 0
        base = arguments(model_folder, data, root / "base", "--samples", 3, "--temperature", 0.8)
        assert command(*base) == 0
        tuned = arguments(root / "train" / "model", data, root / "eval", "--samples", 3)
        flags = ("--temperature", 0.8, "--trained_on", "none", "--compare_to", root / "base")
        assert command(*tuned, *flags) == 0
    file = recipe(root / "compare.yaml", model_folder, objectives=["rlsc", "constant"])
    assert command("compare", "--config", file) == 0
    found = {"train": root / "train", "eval": root / "eval", "compare": root / "out"}
    return {name: folder / "report.html" for name, folder in found.items()}


def opened(browser: Browser, file: Path, problems: list[str], width: int = 1100) -> Tab:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.on("console", lambda one: problems.append(f"console: {one.text}"))
    tab.on("pageerror", lambda error: problems.append(f"error: {error}"))
    tab.on("request", lambda one: one.url == file.as_uri() or problems.append(one.url[:100]))
    tab.goto(file.as_uri())
    return tab


@pytest.mark.parametrize("name", ["train", "eval", "compare"])
def test_it_opens_fits_a_phone_prints_and_passes_axe(
    browser: Browser, pages: dict[str, Path], name: str, tmp_path: Path
) -> None:
    problems: list[str] = []
    tab = opened(browser, pages[name], problems)
    assert tab.locator("svg").count() > 2
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
    assert tab.pdf(path=str(tmp_path / "page.pdf"))[:4] == b"%PDF"
    tab.close()
    phone = opened(browser, pages[name], problems, width=390)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()
    assert not problems


def test_what_flipped_is_what_the_browser_of_cases_finds(
    browser: Browser, pages: dict[str, Path]
) -> None:
    """Also with several samples a question, of which it shows the first."""
    results = read_results_of(EvaluationResults, pages["eval"].parent)
    tab = opened(browser, pages["eval"], [])
    tab.wait_for_function("document.getElementById('count').textContent !== ''")
    for key in ("gained", "lost"):
        tab.select_option("#flip", key)
        ids = [title.split(" · ")[1] for title in tab.locator(".case h3").all_text_contents()]
        assert ids == [
            name for task in results.tasks.values() for name in getattr(task.difference, key)
        ]
    tab.close()


def test_base_its_best_and_tuned_stand_in_one_table(
    browser: Browser, pages: dict[str, Path]
) -> None:
    for name, models in (("train", {"base", "tuned"}), ("eval", {"base", "tuned"})):
        tab = opened(browser, pages[name], [])
        heading = "Base, base at its best, tuned"
        section = tab.locator("section", has=tab.get_by_role("heading", name=heading, exact=True))
        rows = section.locator("tbody tr").all()
        seen = [row.locator("td").first.inner_text() for row in rows]
        assert models <= set(seen)
        if name == "train":
            assert any(one.startswith("base at its best") for one in seen)
        tab.close()
