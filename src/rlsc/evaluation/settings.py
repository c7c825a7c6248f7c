"""In which settings a model is asked: a run's own, and the controls of a benchmark."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rlsc.data import TEMPLATES, find_template
from rlsc.errors import ConfigError
from rlsc.records import AT_TRAINING_TEMPERATURE, GREEDY, SAMPLED, temperature_label
from rlsc.types import Setting

CONTROL_TEMPERATURES = (0.0, 0.5, 0.7, 1.0)


def resolve_template(name: str, tokenizer: Any) -> str:
    """`auto` by what the tokenizer has. Raises `ConfigError` for a name that is none."""
    if name == "auto":
        return "chat" if getattr(tokenizer, "chat_template", None) else "none"
    if name != "chat":
        find_template(name)
    return name


def benchmark_setting(
    template: str,
    temperature: float,
    samples: int,
    max_new_tokens: int,
    system_prompt: str | None = None,
    **more: Any,
) -> Setting:
    """With the template's stop strings; the system message goes to `chat` alone.

    `template` is resolved, `more` are further fields of `Setting`.
    """
    chat = template == "chat"
    return Setting(
        template,
        temperature,
        samples,
        max_new_tokens,
        system_prompt=system_prompt if chat else None,
        stop_strings=() if chat else find_template(template).stop_strings,
        **more,
    )


def templates_for(main: Setting, tokenizer: Any) -> list[str]:
    """All that the tokenizer can be asked by; that of `main` is among them."""
    templates = [*(["chat"] if getattr(tokenizer, "chat_template", None) else []), *TEMPLATES]
    if main.template not in templates:
        templates.insert(0, main.template)
    return templates


def control_settings(
    main: Setting, system_prompt: str | None, tokenizer: Any
) -> tuple[Setting, ...]:
    """`main`, then every template that the tokenizer has at every control temperature."""
    templates = templates_for(main, tokenizer)
    more = {"shots": main.shots, "top_p": main.top_p, "top_k": main.top_k}
    grid = [
        benchmark_setting(
            template,
            temperature,
            main.samples if temperature else 1,
            main.max_new_tokens,
            system_prompt,
            **more,
        )
        for template in templates
        for temperature in CONTROL_TEMPERATURES
    ]
    return (main, *(setting for setting in grid if setting.label != main.label))


def own_settings(
    template: str,
    samples: int,
    training_temperature: float,
    max_new_tokens: int,
    system_prompt: str | None,
) -> tuple[Setting, ...]:
    """Of a run's own evaluation: greedy; `samples` at temperature 1; and at the one trained at.

    Without stop strings, as in training. With no samples greedy alone.
    """
    greedy = Setting(template, 0.0, 1, max_new_tokens, GREEDY, system_prompt)
    if not samples:
        return (greedy,)
    sampled = replace(greedy, temperature=1.0, samples=samples, name=SAMPLED)
    trained = replace(
        sampled,
        temperature=training_temperature,
        name=AT_TRAINING_TEMPERATURE,
        stream=AT_TRAINING_TEMPERATURE,
    )
    return greedy, sampled, trained


def temperature_setting(greedy: Setting, samples: int, temperature: float) -> Setting:
    """As `greedy`, at a temperature of a comparison; at 0 and 1 it is one of the run's own."""
    return replace(
        greedy,
        temperature=temperature,
        samples=samples if temperature else 1,
        name=temperature_label(temperature),
    )


def check_chat_settings(template: str, **settings: object) -> None:
    """Raise `ConfigError` for a setting that no prompt would have."""
    given = [name for name, value in settings.items() if value not in (None, {})]
    if given and template != "chat":
        raise ConfigError(f"{given[0]} needs a chat template, and none is in use")
