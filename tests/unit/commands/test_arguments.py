"""Settings from recipes and flags: which wins, what is refused, and how it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rlsc.commands.arguments import REMOVED, mapping, parse, recipe_flags, resolved
from rlsc.commands.compare import parse_compare
from rlsc.commands.main import recipes_folder
from rlsc.config.run import RunConfig
from rlsc.errors import ConfigError
from rlsc.objectives import create_objective
from rlsc.training.arguments import RLSCConfig

RECIPES = sorted(recipes_folder().glob("*.yaml"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return tmp_path / "recipe.yaml"


def read(recipe: Path, content: str, *flags: str) -> tuple[RunConfig, RLSCConfig]:
    recipe.write_text(content, encoding="utf-8")
    return parse(["--config", str(recipe), *flags])


def refusal(*flags: str) -> str:
    """The error's message, which must be one line."""
    with pytest.raises(ConfigError) as caught:
        parse(flags)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What wins.


def test_flags_win_over_the_recipe_and_the_recipe_over_defaults(recipe: Path) -> None:
    run, training = read(recipe, "alpha: 0.2\ntop_k: 5\nmodel: here\n", "--alpha", "0.3")
    assert (training.alpha, training.top_k, run.model) == (0.3, 5, "here")
    assert training.temperature == 0.5
    assert parse(["--alpha=0.3", f"--config={recipe}"]) == (run, training)
    # A command's own recipe comes before --config.
    own = recipe.with_name("own.yaml")
    own.write_text("alpha: 0.7\ntop_p: 0.7\n")
    _, training = parse(["--config", str(recipe)], own)
    assert (training.alpha, training.top_k, training.top_p) == (0.2, 5, 0.7)


# Types.


def test_yaml_numbers_without_a_point_are_numbers(recipe: Path) -> None:
    """YAML 1.1 reads 1e-5 as text. Null is the default."""
    _, training = read(recipe, "learning_rate: 3e-5\nalpha: null\nlogprob_temperature: 1")
    assert (training.learning_rate, training.alpha, training.loss_temperature) == (3e-5, 0.1, 1.0)


def test_booleans(recipe: Path) -> None:
    content = "bf16: false\nskip_long_prompts: true\nmerge_duplicates: no\neval_baselines: yes\n"
    flags = "--skip_long_prompts --bf16 false --merge_duplicates false --eval_baselines yes"
    for run, training in (read(recipe, content), parse(flags.split())):
        assert (training.bf16, training.merge_duplicates) == (False, False)
        assert (training.skip_long_prompts, run.eval_baselines) == (True, True)


TEXTS = ["- be brief", "a: b\n# c", "true", "null", "1e3", ""]


@pytest.mark.parametrize("text", [*TEXTS, "--brief"])
def test_text_stays_text(recipe: Path, text: str) -> None:
    assert read(recipe, yaml.safe_dump({"system_prompt": text}))[0].system_prompt == text


def test_the_loss_is_at_the_sampling_temperature_by_default() -> None:
    assert parse(["--temperature", "0.7"])[1].loss_temperature == 0.7


TYPES = {"temperature": "hot", "num_generations": "2.5", "bf16": "maybe", "optim": "magic"}


@pytest.mark.parametrize(("key", "value"), TYPES.items())
def test_wrong_types_name_the_setting(recipe: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key):
        read(recipe, f"{key}: {value}")
    assert key in refusal(f"--{key}", value)


MAPPINGS = {
    "tau=0.5,k=3": {"tau": 0.5, "k": 3},
    " kinds = deduction+abduction , on=true,": {"kinds": "deduction+abduction", "on": True},
    "low=1e-3,none=null,high=.5,text=a=b": {"low": 1e-3, "none": None, "high": 0.5, "text": "a=b"},
    '{"tau": 0.5, "names": ["a"]}': {"tau": 0.5, "names": ["a"]},
    "": {},
}


@pytest.mark.parametrize(("text", "values"), MAPPINGS.items())
def test_a_mapping_is_written_as_pairs_or_in_a_recipe(text: str, values: dict) -> None:
    assert mapping(text) == mapping(json.dumps(values)) == values


@pytest.mark.parametrize("text", ["tau", "=1", "a=1,a=2", "{1"])
def test_a_mapping_that_is_none(text: str) -> None:
    assert "environment_settings" in refusal(f"--environment_settings={text}")


def test_minus_and_underscore_are_one() -> None:
    _, training = parse(["--top-k", "3", "--no-merge-duplicates", "--system-prompt=--a-b"])
    assert (training.top_k, training.merge_duplicates) == (3, False)
    assert parse(["--system-prompt=--a-b"])[0].system_prompt == "--a-b"


def test_a_removed_setting_names_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REMOVED, "old_rate", "use learning_rate")
    assert refusal("--old-rate=1") == "old_rate was removed: use learning_rate"


# Unknown settings and files that cannot be read.


def test_an_unknown_setting_suggests_the_nearest(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.yaml: .*did you mean num_generations\?"):
        read(recipe, "num_generation: 4")
    for flag in (("--alfa", "1"), ("--alfa=1",)):
        assert "did you mean alpha?" in refusal(*flag)
    assert "did you mean" not in refusal("--qqqqqqqq", "1")
    assert "stray" in refusal("stray")


NO_YAML, NO_SETTINGS = r"recipe\.yaml cannot be read as YAML", r"recipe\.yaml must hold settings"
BROKEN = {"alpha: [1": NO_YAML, "a: b: c": NO_YAML, "alpha: \0": NO_YAML}
BROKEN |= {"- alpha\n- beta": NO_SETTINGS, "": NO_SETTINGS, "7: 8": "unknown setting 7"}


@pytest.mark.parametrize(("content", "message"), BROKEN.items())
def test_a_broken_recipe_is_named(recipe: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(recipe, content)
    assert "\n" not in str(caught.value)


def test_a_config_that_is_no_file(tmp_path: Path) -> None:
    assert "no such config file" in refusal("--config", str(tmp_path / "missing.yaml"))
    assert "cannot be read" in refusal("--config", str(tmp_path))
    assert "--config needs a file" in refusal("--alpha", "1", "--config")


# What is shipped and what is written can be read.


COMPARISONS = [path for path in RECIPES if "\nobjectives:" in path.read_text()]


@pytest.mark.parametrize(
    "path", sorted(set(RECIPES) - set(COMPARISONS)), ids=lambda path: path.stem
)
def test_every_recipe_is_valid(path: Path) -> None:
    run, _ = parse(["--config", str(path)])
    assert run.questions or run.environment != "dataset"


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.stem)
def test_every_comparison_is_valid(path: Path) -> None:
    config, flags = parse_compare(["--config", str(path)])
    assert len(config.methods) > 3
    assert config.seeds == tuple(range(len(config.seeds))) != ()
    assert 0 in config.temperatures
    assert (flags, config.print_commands) == ([], False)
    for settings in config.methods.values():
        run, training = parse(recipe_flags({**config.shared, **settings}))
        assert run.questions or (run.environment != "dataset" and run.eval_questions)
        create_objective(training)


SETTINGS = """
--questions arithmetic --alpha 0.3 --bf16 false --eval_limit 0 --no_merge_duplicates
--lr_scheduler_type cosine --lr_scheduler_kwargs {"num_cycles":2} --logprob_temperature 1
--debug underflow_overflow --save_steps 0.5""".split("\n")


@pytest.mark.parametrize("flags", [*SETTINGS, "--system_prompt=--brief"])
def test_resolved_settings_read_back_are_the_same(recipe: Path, flags: str) -> None:
    run, training = parse(flags.split())
    run_again, training_again = read(recipe, yaml.safe_dump(resolved(run, training)))
    assert run_again == run
    assert training_again.to_dict() == training.to_dict()


def test_a_hub_token_is_neither_written_nor_made_up(recipe: Path) -> None:
    settings = yaml.safe_dump(resolved(*parse(["--hub_token", "hf_secret"])))
    assert "hf_secret" not in settings
    assert read(recipe, settings)[1].hub_token is None


# Values that cannot work.

BAD_VALUES = """num_generations=0 max_completion_length=0 per_device_train_batch_size=0
    rollout_batch_size=0 tokens_per_microbatch=0 top_k=-1 gradient_accumulation_steps=2
    temperature=0 temperature=-1 temperature=nan temperature=inf alpha=-0.1 alpha=nan alpha=inf
    top_p=0 top_p=1.1 top_p=nan weight=heavy engine=steam logprob_temperature=junk
    logprob_temperature=0 logprob_temperature=-1 logprob_temperature=nan model_dtype=int8
    template=fancy eval=maybe eval_samples=-1 eval_limit=-1 eval_max_new_tokens=0
    learning_rate=nan learning_rate=-1 weight_decay=nan max_grad_norm=-1 seed=-1 save_steps=-3
    max_steps=0 max_steps=-2""".split()


@pytest.mark.parametrize("setting", BAD_VALUES)
def test_a_value_that_cannot_work_names_its_setting(setting: str) -> None:
    assert refusal(f"--{setting}").startswith(f"{setting.partition('=')[0]} must be ")


def test_the_defaults_are_the_papers() -> None:
    training = parse([])[1]
    expected = {
        "num_generations": 16,
        "temperature": 0.5,
        "max_completion_length": 3072,
        "learning_rate": 1e-5,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "max_steps": 10,
        "weight": "sequence",
        "alpha": 0.1,
        "logprob_temperature": "sampling",
        "mask_truncated_completions": False,
        "per_device_train_batch_size": 8,
        "save_steps": 5,
        "save_total_limit": 2,
        "warmup_steps": 0,
        "top_p": 1.0,
        "top_k": 0,
    }
    assert {name: getattr(training, name) for name in expected} == expected
    assert training.lr_scheduler_type == "constant"
    assert training.optim.startswith("adamw")


def test_values_that_cannot_work_together() -> None:
    assert "alpha must be above 0" in refusal("--weight=constant", "--alpha=0")
    assert "num_generations must be 2" in refusal("--weight=answer", "--num_generations=1")
    assert "resume and overwrite exclude" in refusal("--resume", "--overwrite")


REFUSED = {
    "--lr_scheduler_type=junk": "SchedulerType",
    "--logging_steps=0": "logging_steps",
    "--warmup_steps=-3": "warmup_steps",
    "--load_best_model_at_end": "load_best_model_at_end",
}


@pytest.mark.parametrize(("flag", "message"), REFUSED.items())
def test_what_transformers_refuses_is_a_config_error_too(flag: str, message: str) -> None:
    assert message in refusal(flag)


def test_yaml_words_and_lists(tmp_path: Path) -> None:
    """`off` and `no` are words; true and false are not; text with commas may be a list."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "guard: off\nsave_strategy: no\nbf16: false\nuse_peft: yes\n"
        "lora_target_modules: [q_proj, v_proj]\nbenchmarks:\n- math500\n- amc23\n"
    )
    run, training = parse([], recipe)
    assert (training.guard, training.save_strategy.value, training.bf16) == ("off", "no", False)
    assert (run.use_peft, run.lora_target_modules) == (True, "q_proj,v_proj")
    assert run.benchmarks == "math500,amc23"


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("alpha: 0.1\ntop_k: 5\nalpha: 0.2\n")
    with pytest.raises(ConfigError, match=r"recipe.yaml cannot be read.* alpha stands there twice"):
        parse([], recipe)
