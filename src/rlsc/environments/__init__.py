"""What a step's rollouts are played in: a data set of questions, or a game."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.environments.azr.python.evaluation import PythonJudge, python_question
    from rlsc.environments.base import (
        Bounds,
        Environment,
        Judge,
        drive,
        drive_beginning,
        drive_examination,
    )
    from rlsc.environments.dataset import DatasetEnvironment
    from rlsc.environments.registry import create_environment
    from rlsc.environments.sandbox import (
        Executor,
        Limits,
        Reader,
        Request,
        Runner,
        make_executor,
        same,
    )
    from rlsc.environments.spc.exploitability import p_correct
    from rlsc.environments.spc.prompts import CORRECT, INCORRECT
    from rlsc.environments.spc.step_forms import StepForm, SumSteps, TextSteps, terms_of

__getattr__ = lazy_face(__name__)
