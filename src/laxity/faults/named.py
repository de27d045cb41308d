"""Fault models named with their options on one line, as the command line and configurations do."""

from __future__ import annotations

from typing import Any

from laxity.core.named import plain_value, split_named


def fault_named(text: str) -> dict[str, Any]:
    """JSON form of ``"stuck_at value=1"``, at rate 0.

    Raises:
        ConfigError: an option is malformed or given twice.
    """
    kind, values = split_named(text, "fault model")
    return {"kind": kind, "rate_per_bit": 0.0, **{k: plain_value(v) for k, v in values.items()}}
