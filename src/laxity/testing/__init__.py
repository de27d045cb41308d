"""Checks for those who extend laxity: what any plug-in must satisfy, whoever wrote it.

Names are loaded when first used, so that multipliers, targets and fault models can be checked without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laxity.testing.adder import check_adder
    from laxity.testing.fault_model import check_fault_model
    from laxity.testing.multiplier import check_multiplier
    from laxity.testing.population import check_population
    from laxity.testing.relevance import check_criterion
    from laxity.testing.target import check_target, example_demands
    from laxity.testing.technique import check_technique

_HOMES = {
    "check_adder": "laxity.testing.adder",
    "check_criterion": "laxity.testing.relevance",
    "check_fault_model": "laxity.testing.fault_model",
    "check_multiplier": "laxity.testing.multiplier",
    "check_population": "laxity.testing.population",
    "check_target": "laxity.testing.target",
    "check_technique": "laxity.testing.technique",
    "example_demands": "laxity.testing.target",
}

__all__ = [
    "check_adder",
    "check_criterion",
    "check_fault_model",
    "check_multiplier",
    "check_population",
    "check_target",
    "check_technique",
    "example_demands",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'laxity.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
