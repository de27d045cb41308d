"""Reading of JSON files that nobody vouches for: every file is checked, and errors name the file and the field."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from laxity.core.errors import RunError

T = TypeVar("T")
REMEDY = "run the command that made the folder again; it resumes and writes what is missing"

Amount = Annotated[float, Field(ge=0)]
"""A figure that cannot be negative."""

Count = Annotated[int, Field(ge=0)]
"""A number of things."""


class Part(BaseModel):
    """Base of all parts: immutable, unknown keys ignored so that newer runs stay readable."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def read_text(path: Path, remedy: str = REMEDY) -> str:
    """The text of a file.

    Raises:
        RunError: it is missing or cannot be read; names it and the remedy.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path} is missing; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}; {remedy}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def parse(path: Path, text: str, remedy: str = REMEDY) -> Any:
    """JSON without NaN and infinite numbers.

    Raises:
        RunError: it is none; names the file and the remedy.
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON: {error}; {remedy}") from None


def read_json(path: Path, remedy: str = REMEDY) -> Any:
    """The JSON of a file; raises as `read_text` and `parse`."""
    return parse(path, read_text(path, remedy), remedy)


def read_part(path: Path, form: type[T], remedy: str = REMEDY) -> T:
    """The content of a file in its form; raises as `read_json` and `check`."""
    return check(path, read_json(path, remedy), form, remedy)


def check(path: Path, data: Any, form: type[T], remedy: str = REMEDY) -> T:
    """Data in its form.

    Raises:
        RunError: a field is missing or wrong; names file, field and remedy.
    """
    try:
        return TypeAdapter(form).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"]) or "the document"
        raise RunError(f"{path}: {place}: {first['msg']}; {remedy}") from None
