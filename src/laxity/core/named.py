"""Things that are named with options on one line: ``"table_2d window=4"``, ``"stuck_at value=1"``."""

from __future__ import annotations

import json
from typing import Any

from laxity.core.errors import ConfigError, LaxityError


def split_named(text: str, noun: str, error: type[LaxityError] = ConfigError) -> tuple[str, dict[str, str]]:
    """Name and options of ``"name option=value ..."``, separated by blanks.

    Args:
        text: to be split.
        noun: what is named, for messages.
        error: raised for malformed text.

    Raises:
        LaxityError: an option is malformed or given twice.
    """
    name, *words = text.split() or [""]
    given: dict[str, str] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not (key and sign and value):
            raise error(f"{noun} {text!r}: {word!r} is no option; write 'name option=value', without blanks at =")
        if key in given:
            raise error(f"{noun} {text!r} has option {key!r} twice; give it once")
        given[key] = value
    return name, given


def plain_value(text: str) -> Any:
    """A number, true or false as JSON writes them; any other text is itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float)) else text
