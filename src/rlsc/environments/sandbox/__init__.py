"""Runs programs that a model wrote, where they can do no harm, and tells what `f` returned.

`make_executor` chooses a backend, `Runner` runs many programs at once, `Reader` reads texts without
running them, `same` compares values. What each backend stops is in docs/sandbox.md.
"""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.environments.sandbox.choice import Sandbox, executor_of, make_executor, self_test
    from rlsc.environments.sandbox.executor import (
        JUDGING,
        VALIDATION,
        VERSION,
        Executor,
        Limits,
        Outcome,
        Status,
        validate,
    )
    from rlsc.environments.sandbox.inspection import (
        FORBIDDEN,
        IMPORTS,
        INPUT_CHARACTERS,
        PROGRAM_CHARACTERS,
    )
    from rlsc.environments.sandbox.reader import Call, Inspection, Reader
    from rlsc.environments.sandbox.runner import Request, Runner
    from rlsc.environments.sandbox.values import decode, encode, python_text, same

__getattr__ = lazy_face(__name__)
