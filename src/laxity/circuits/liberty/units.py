"""Units and operating point of a Liberty file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from laxity.circuits.liberty.syntax import Group
from laxity.circuits.liberty.tables import number
from laxity.core.errors import CircuitError

_PREFIX = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_UNIT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([munpf]?)([A-Za-z]+)\s*")


@dataclass(frozen=True, slots=True)
class Units:
    """How much one unit of the file is, and its nominal operating point.

    Attributes:
        time_ps: of time.
        capacitance_ff: of capacitance.
        energy_fj: of internal energy.
        leakage_nw: of leakage power.
        voltage_v: nominal supply voltage.
        temperature_c: nominal temperature.
    """

    time_ps: float
    capacitance_ff: float
    energy_fj: float
    leakage_nw: float
    voltage_v: float
    temperature_c: float


def read_units(library: Group, where: str) -> Units:
    """The units that the group ``library`` states.

    Raises:
        CircuitError: one is missing or is no unit of its kind.
    """
    time = _unit(library, "time_unit", "s", where)
    volt = _unit(library, "voltage_unit", "V", where)
    leakage = _unit(library, "leakage_power_unit", "W", where)
    farad = _capacitance(library, where)
    return Units(
        time_ps=time * 1e12,
        capacitance_ff=farad * 1e15,
        energy_fj=farad * volt**2 * 1e15,
        leakage_nw=leakage * 1e9,
        voltage_v=_number(library, "nom_voltage", where) * volt,
        temperature_c=_number(library, "nom_temperature", where),
    )


def _unit(library: Group, name: str, symbol: str, where: str) -> float:
    attribute = library.find(name)
    if attribute is None:
        raise _missing(name, f'{name} : "1n{symbol}" ;', where)
    text = " ".join(attribute.values)
    found = _UNIT.fullmatch(text)
    if found is None or found[3].lower() != symbol.lower() or float(found[1]) == 0:
        raise CircuitError(f"{where}, line {attribute.line}: {name} is {text!r}; give a unit such as 1n{symbol}")
    return float(found[1]) * _PREFIX[found[2]]


def _capacitance(library: Group, where: str) -> float:
    attribute = library.find("capacitive_load_unit")
    if attribute is None:
        raise _missing("capacitive_load_unit", "capacitive_load_unit (1, pf) ;", where)
    found = _UNIT.fullmatch("".join(attribute.values).lower())
    if found is None or found[3] != "f" or float(found[1]) == 0:
        text = ", ".join(attribute.values)
        raise CircuitError(f"{where}, line {attribute.line}: capacitive_load_unit is ({text}); give such as (1, pf)")
    return float(found[1]) * _PREFIX[found[2]]


_EXAMPLES = {"nom_voltage": "1.1", "nom_temperature": "27"}


def _number(library: Group, name: str, where: str) -> float:
    attribute = library.find(name)
    if attribute is None:
        raise _missing(name, f"{name} : {_EXAMPLES[name]} ;", where)
    try:
        return number(attribute.values[0] if attribute.values else "")
    except ValueError as error:
        raise CircuitError(f"{where}, line {attribute.line}: {name} is no number ({error})") from error


def _missing(name: str, example: str, where: str) -> CircuitError:
    return CircuitError(f"{where}: the library states no {name}; figures have no meaning without it: add {example}")
