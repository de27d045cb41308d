"""Hardware descriptions: constants that carry unit, basis and source, read from TOML and checked strictly.

A description is a flat file of sections; every constant in a section is a table::

    [array]
    rows = { value = 16, unit = "PE", basis = "modelled", source = "why this figure" }

A cost model states which constants it needs as a `Schema`. Anything missing, unknown or out of range is refused with
the place and the remedy, so that a typing error never becomes a silent default.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from laxity.core.errors import TargetError
from laxity.core.estimate import Basis, Estimate
from laxity.core.registry import did_you_mean
from laxity.core.serial import content_key, to_json

TEXT_KEYS = ("name", "description", "model", "extends", "baseline_multiplier")
"""Keys outside the sections; all hold text."""

CONSTANT_KEYS = ("value", "unit", "basis", "source")
"""What the table of a constant holds."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number of a hardware description.

    Attributes:
        value: in `unit`; finite.
        unit: for example ``"pJ"`` or ``"bit"``.
        basis: how the figure was obtained.
        source: where it comes from, in words.
    """

    value: float
    unit: str
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True)
class ConstantSpec:
    """What a cost model expects of one constant.

    Attributes:
        unit: the only unit accepted; figures are not converted.
        integer: whether the value must be a whole number.
        zero: whether 0 is allowed; negative values never are.
    """

    unit: str
    integer: bool = False
    zero: bool = False


Schema = Mapping[str, Mapping[str, ConstantSpec]]
"""Section name -> constant name -> what is expected."""

Options = Mapping[str, tuple[str, ...]]
"""Option name -> the texts that it accepts, the one for files that do not name the option first."""

Constants = Mapping[str, Mapping[str, Constant]]
"""Section name -> constant name -> the constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """A complete and checked hardware description.

    Attributes:
        name: short name of the machine.
        text: one or two sentences.
        model: name of the cost model that reads it.
        baseline_multiplier: catalogue name of the exact multiplier of the unapproximated machine.
        constants: by section and name.
        options: what the file chose of the options of the cost model, where that is not the first.
    """

    name: str
    text: str
    model: str
    baseline_multiplier: str
    constants: Constants
    options: Mapping[str, str] = field(default_factory=dict)

    def constant(self, path: str) -> Constant:
        """The constant called ``"section.name"``.

        Raises:
            TargetError: the description has no such constant.
        """
        section, _, name = path.partition(".")
        try:
            return self.constants[section][name]
        except KeyError:
            known = [f"{s}.{n}" for s, entries in self.constants.items() for n in entries]
            raise TargetError(f"target {self.name!r} has no constant {path!r}{did_you_mean(path, known)}") from None

    def value(self, path: str) -> float:
        """The number of the constant called ``"section.name"``.

        Raises:
            TargetError: the description has no such constant.
        """
        return self.constant(path).value

    def count(self, path: str) -> int:
        """As `value`, as an integer.

        Raises:
            TargetError: the description has no such constant.
        """
        return int(self.constant(path).value)

    def estimate(self, path: str, factor: float, unit: str) -> Estimate:
        """The constant called ``"section.name"`` times a non-negative factor, as an estimate in `unit`.

        Raises:
            TargetError: the description has no such constant.
        """
        constant = self.constant(path)
        return Estimate.point(constant.value * factor, unit, constant.basis, constant.source)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form with every constant, its unit, basis and source."""
        constants = {s: {n: to_json(c) for n, c in entries.items()} for s, entries in self.constants.items()}
        chosen = {"options": dict(self.options)} if self.options else {}
        return {
            "name": self.name,
            "description": self.text,
            "model": self.model,
            "baseline_multiplier": self.baseline_multiplier,
            "constants": constants,
            **chosen,
        }

    @property
    def key(self) -> str:
        """Content hash of everything `to_json` shows."""
        return content_key(self.to_json())


def read_document(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        TargetError: the file cannot be read, is not UTF-8, or is not TOML (duplicate keys included); names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetError(f"cannot read the target file {path}: {error.strerror or error}; check the path") from error
    except UnicodeDecodeError as error:
        raise TargetError(f"the target file {path} is not UTF-8 text: {error.reason}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        hint = " (the key occurs twice; keep one)" if "overwrite" in str(error) else ""
        raise TargetError(f"{path} is not valid TOML: {error}{hint}") from error


def merge_documents(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `override` over `base`: text and constants of `override` win, everything else is inherited."""
    merged: dict[str, Any] = dict(base)
    for key, value in override.items():
        inherited = merged.get(key)
        if isinstance(value, dict) and isinstance(inherited, dict):
            merged[key] = {**inherited, **value}
        else:
            merged[key] = value
    return merged


def check_texts(document: Mapping[str, Any], where: str) -> None:
    """Check that the keys of every description hold text.

    Raises:
        TargetError: one of `TEXT_KEYS` holds something else, or nothing.
    """
    for key in TEXT_KEYS:
        value = document.get(key, key)
        if not isinstance(value, str) or not value.strip():
            raise TargetError(f"{where}: {key} must be a non-empty text, not {value!r}")


def resolve(document: Mapping[str, Any], schema: Schema, where: str, options: Options | None = None) -> Description:
    """Check a complete document against the schema and the options of its cost model.

    Raises:
        TargetError: a section, constant or option is unknown or missing, or a value, unit, basis or source is wrong.
    """
    check_texts(document, where)
    missing = [key for key in ("name", "description", "model", "baseline_multiplier") if key not in document]
    if missing:
        raise TargetError(f'{where}: missing key {missing[0]!r}; add {missing[0]} = "..." at the top of the file')
    known = options or {}
    for key in document:
        if key in TEXT_KEYS or key in known or key in schema:
            continue
        if isinstance(document[key], dict):
            raise TargetError(f"{where}: unknown section [{key}]{did_you_mean(key, schema)}")
        raise TargetError(f"{where}: unknown key {key!r}{did_you_mean(key, (*TEXT_KEYS, *known))}")
    constants = {s: _resolve_section(document.get(s), specs, f"{where}: [{s}]") for s, specs in schema.items()}
    return Description(
        name=document["name"],
        text=document["description"],
        model=document["model"],
        baseline_multiplier=document["baseline_multiplier"],
        constants=MappingProxyType(constants),
        options=MappingProxyType(_chosen(document, known, where)),
    )


def _chosen(document: Mapping[str, Any], options: Options, where: str) -> dict[str, str]:
    """Options whose text is not the first of those that they accept."""
    chosen = {}
    for name, accepted in options.items():
        value = document.get(name, accepted[0])
        if value not in accepted:
            raise TargetError(f"{where}: {name} = {value!r} is not possible; use one of {', '.join(accepted)}")
        if value != accepted[0]:
            chosen[name] = value
    return chosen


def _resolve_section(entries: Any, specs: Mapping[str, ConstantSpec], where: str) -> Mapping[str, Constant]:
    if entries is None:
        raise TargetError(f"{where} is missing; it must define {', '.join(specs)}")
    if not isinstance(entries, dict):
        raise TargetError(f"{where} must be a section of constants, not {entries!r}")
    for name in entries:
        if name not in specs:
            raise TargetError(f"{where}: unknown constant {name!r}{did_you_mean(name, specs)}")
    missing = [name for name in specs if name not in entries]
    if missing:
        raise TargetError(f"{where}: missing {', '.join(missing)}; add each as {_form(specs[missing[0]])}")
    return MappingProxyType({name: _resolve_constant(entries[name], spec, where, name) for name, spec in specs.items()})


def _form(spec: ConstantSpec) -> str:
    return f'{{ value = ..., unit = "{spec.unit}", basis = "...", source = "..." }}'


def _resolve_constant(entry: Any, spec: ConstantSpec, where: str, name: str) -> Constant:
    place = f"{where} {name}"
    if not isinstance(entry, dict):
        raise TargetError(f"{place} must be a table {_form(spec)}, not {entry!r}")
    for key in entry:
        if key not in CONSTANT_KEYS:
            raise TargetError(f"{place}: unknown key {key!r}{did_you_mean(key, CONSTANT_KEYS)}")
    for key in CONSTANT_KEYS:
        if key not in entry:
            raise TargetError(f"{place}: missing {key!r}; write it as {_form(spec)}")
    if entry["unit"] != spec.unit:
        raise TargetError(f"{place}: unit {entry['unit']!r} is not accepted; give the value in {spec.unit!r}")
    return Constant(
        _number(entry["value"], spec, place), spec.unit, _basis(entry["basis"], place), _source(entry, place)
    )


def _number(value: Any, spec: ConstantSpec, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TargetError(f"{place}: value {value!r} is not a number")
    if not math.isfinite(value) or value < 0 or (value == 0 and not spec.zero):
        bound = "not negative" if spec.zero else "greater than 0"
        raise TargetError(f"{place}: value {value} {spec.unit} is not possible; it must be finite and {bound}")
    if spec.integer and value != int(value):
        raise TargetError(f"{place}: value {value} {spec.unit} must be a whole number")
    return value


def _basis(basis: Any, place: str) -> Basis:
    try:
        return Basis(basis)
    except ValueError:
        raise TargetError(
            f"{place}: unknown basis {basis!r}{did_you_mean(str(basis), [b.value for b in Basis])}"
        ) from None


def _source(entry: Mapping[str, Any], place: str) -> str:
    source = entry["source"]
    if not isinstance(source, str) or not source.strip():
        raise TargetError(f"{place}: source must be a text that says where the figure comes from, not {source!r}")
    return source
