"""rlsc: label-free RL fine-tuning of language models by self-confidence (arXiv 2506.06395).

What `__all__` lists is the public API. A name is imported when it is first used: `import rlsc`
loads neither torch nor transformers.
"""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face
from rlsc.runtime.renamed import tell_new_names

if TYPE_CHECKING:
    from rlsc.commands.api import compare, evaluate, train
    from rlsc.config.fields import setting
    from rlsc.engines.base import Engine, SamplingParams
    from rlsc.environments.base import Environment
    from rlsc.evaluation.benchmarks.item import Item
    from rlsc.evaluation.benchmarks.tasks import UserTask, load_task
    from rlsc.grading.api import grade
    from rlsc.objectives.base import Objective
    from rlsc.objectives.policy_gradient import PolicyGradient
    from rlsc.training.arguments import RLSCConfig
    from rlsc.training.trainer import RLSCTrainer
    from rlsc.types import Ask, Pool

__version__ = "0.1.0"
__all__ = [
    "Ask",
    "Engine",
    "Environment",
    "Item",
    "Objective",
    "PolicyGradient",
    "Pool",
    "RLSCConfig",
    "RLSCTrainer",
    "SamplingParams",
    "UserTask",
    "__version__",
    "compare",
    "evaluate",
    "grade",
    "load_task",
    "setting",
    "train",
]

__getattr__ = lazy_face(__name__)
tell_new_names()
