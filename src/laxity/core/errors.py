"""The exceptions of laxity: one tree, so that callers can catch `LaxityError` and mean all of them.

Every message says what is wrong, where, and what to do about it. The command line prints the message
without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

from typing import ClassVar


class LaxityError(Exception):
    """Root of every error that laxity raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(LaxityError):
    """A configuration file or option has a wrong key, type or value."""

    exit_code = 2


class TaskError(LaxityError):
    """A model or task cannot be loaded, or its parts do not fit each other."""


class DataError(LaxityError):
    """Data is missing, corrupt, empty, unlabelled, or holds NaN or infinite values."""


class PlanError(LaxityError):
    """A plan names unknown sites or combines choices that cannot work together."""


class RegistryError(LaxityError):
    """A name is not registered; the message proposes near matches."""

    exit_code = 2


class CircuitError(LaxityError):
    """A circuit is malformed, or a table does not fit the declared operands."""


class TargetError(LaxityError):
    """A hardware description is wrong or cannot cost the given demand."""


class ToolError(LaxityError):
    """An external tool or an optional package is missing; the message tells how to get it."""

    exit_code = 4


class BudgetError(LaxityError):
    """No plan meets the accuracy budget; the best plan found is still written."""

    exit_code = 3


class RunError(LaxityError):
    """A run folder cannot be written, or belongs to a different run."""
