"""laxity: reliable cross-layer approximation of deep neural networks.

Names are loaded when first used, so that ``laxity.circuits`` and ``laxity.targets`` work without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laxity.artifacts import Result, optimize
    from laxity.artifacts.verify import evaluate
    from laxity.core.errors import LaxityError
    from laxity.core.plan import Plan, Recovery
    from laxity.emulate import approximate
    from laxity.evaluation.injection import inject
    from laxity.recovery.train import retrain
    from laxity.sites import find_sites
    from laxity.targets import load_target
    from laxity.task import Task, load_task, make_task
    from laxity.techniques import (
        ChannelPruning,
        CircuitAccumulator,
        CircuitMultiplier,
        CurableCarry,
        Integer,
        MagnitudePruning,
    )

_HOMES = {
    "ChannelPruning": "laxity.techniques",
    "CircuitAccumulator": "laxity.techniques",
    "CircuitMultiplier": "laxity.techniques",
    "CurableCarry": "laxity.techniques",
    "Integer": "laxity.techniques",
    "LaxityError": "laxity.core.errors",
    "MagnitudePruning": "laxity.techniques",
    "Plan": "laxity.core.plan",
    "Recovery": "laxity.core.plan",
    "Result": "laxity.artifacts",
    "Task": "laxity.task",
    "approximate": "laxity.emulate",
    "evaluate": "laxity.artifacts.verify",
    "find_sites": "laxity.sites",
    "inject": "laxity.evaluation.injection",
    "load_target": "laxity.targets",
    "load_task": "laxity.task",
    "make_task": "laxity.task",
    "optimize": "laxity.artifacts",
    "retrain": "laxity.recovery.train",
}

__all__ = [
    "ChannelPruning",
    "CircuitAccumulator",
    "CircuitMultiplier",
    "CurableCarry",
    "Integer",
    "LaxityError",
    "MagnitudePruning",
    "Plan",
    "Recovery",
    "Result",
    "Task",
    "approximate",
    "evaluate",
    "find_sites",
    "inject",
    "load_target",
    "load_task",
    "make_task",
    "optimize",
    "retrain",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'laxity' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
