"""Every setting of a run, and the checks of its values. No torch."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.config.compare import (
        NOT_SHARED,
        OF_BASE,
        SEEDS,
        TRANSDUCTIVE,
        CompareArguments,
        CompareConfig,
    )
    from rlsc.config.engine import AUTO, ENGINES, EngineArguments, check_engine, check_engine_name
    from rlsc.config.environment import ENVIRONMENTS, EnvironmentArguments
    from rlsc.config.evaluation import CriticArguments, EvalConfig
    from rlsc.config.fields import allowed, check_settings, check_value, default_of, limits, setting
    from rlsc.config.guard import FilterArguments, GuardArguments
    from rlsc.config.objective import ObjectiveArguments, check_objective
    from rlsc.config.own_settings import converted, nearest, settings_of
    from rlsc.config.run import PlanConfig, QuestionArguments, RunConfig
    from rlsc.config.shared import (
        ChatTemplateArguments,
        check_chat_template_kwargs,
        check_output_dir,
        check_template,
    )
    from rlsc.config.training import (
        OF_ENVIRONMENT,
        CostArguments,
        LossArguments,
        SamplingArguments,
        SupervisedArguments,
        TrainerArguments,
    )

__getattr__ = lazy_face(__name__)
