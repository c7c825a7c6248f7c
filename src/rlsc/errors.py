"""Errors a user can mend. The command line prints each as one line and exits with code 2."""

from __future__ import annotations


class RLSCError(Exception):
    """Base of all errors raised on purpose; the message says what is wrong and what to do."""


class ConfigError(RLSCError, ValueError):
    """A setting that cannot work."""


class QuestionError(RLSCError, ValueError):
    """Questions that cannot be read."""


class ModelError(RLSCError, OSError):
    """A model that cannot be loaded."""


class ShardedModelError(ModelError):
    """Weights spread over processes, for an engine that needs them whole."""


class OutputError(RLSCError, OSError):
    """A run folder that cannot be used."""


class FailedRunsError(RLSCError):
    """Runs of a comparison that did not come to their end; the others' results stand."""


class NonFiniteError(RLSCError, ArithmeticError):
    """Loss or gradient became NaN or infinite; the last checkpoint stands."""


class GradingError(RLSCError, RuntimeError):
    """A process that judges answers does not start."""


class SandboxError(RLSCError, RuntimeError):
    """A sandbox, or the process beside it, that does not run: no verdict on a program."""
