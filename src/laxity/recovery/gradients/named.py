"""Gradients from text: a name, and options behind it, as plans and configurations hold them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from laxity.core.errors import PlanError
from laxity.core.named import split_named
from laxity.core.registry import did_you_mean
from laxity.recovery.gradients.gradient import GRADIENTS, Gradient

_TRUTH = {"true": True, "false": False}


def gradient_named(text: str, **options: Any) -> Gradient:
    """Make a gradient from ``"table_2d"`` or ``"table_2d window=4 tolerance=0"``.

    Args:
        text: name in the registry `GRADIENTS`, followed by options ``field=value``, separated by blanks.
        options: fields of the gradient, instead of such options or besides them.

    Raises:
        RegistryError: there is no gradient of this name.
        PlanError: an option is malformed, given twice, unknown, or has a value that it cannot have.
    """
    name, words = split_named(text, "gradient", PlanError)
    kind = GRADIENTS[name]
    types = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]
    twice = next((key for key in words if key in options), None)
    if twice is not None:
        raise PlanError(f"gradient {text!r} has option {twice!r} twice; give it once")
    given = {**options, **{key: _value(text, key, value, types.get(key, "str")) for key, value in words.items()}}
    for key in given:
        if key not in types:
            hint = did_you_mean(key, types) if types else "; it has none"
            raise PlanError(f"gradient {name!r} has no option {key!r}{hint}")
    return kind(**given)


def _value(text: str, key: str, value: str, kind: str) -> Any:
    """The value of an option in its declared type."""
    try:
        if kind == "bool":
            return _TRUTH[value.lower()]
        return {"int": int, "float": float}.get(kind, str)(value)
    except (ValueError, KeyError):
        wanted = "true or false" if kind == "bool" else kind
        raise PlanError(f"gradient {text!r}: option {key!r} must be {wanted}, not {value!r}") from None
