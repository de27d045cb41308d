"""The circuits to compare: by name, by family, or from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from laxity.circuits import adder_catalogue, catalogue
from laxity.circuits.adder_family import ADDERS
from laxity.circuits.errors_of import subject_of
from laxity.circuits.family import MULTIPLIERS
from laxity.circuits.importers import IMPORTERS, load
from laxity.circuits.netlist import Circuit
from laxity.circuits.subject import Subject
from laxity.core.errors import CircuitError

ALL = "all"
"""Word for every multiplier family."""

MULTIPLIER_WIDTH, ADDER_WIDTH = 8, 16
"""Operand widths of families unless asked for otherwise."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A circuit to compare.

    Attributes:
        name: in the catalogue, or of the file.
        family: that generated it, or ``"imported"``.
        subject: what it computes.
        circuit: its netlist; None where only products are known, so that it costs nothing that could be told.
        source: where it comes from.
        definition: what it computes, in words.
    """

    name: str
    family: str
    subject: Subject
    circuit: Circuit | None
    source: str
    definition: str

    @property
    def kind(self) -> str:
        """Operation, widths and signedness, in words."""
        s = self.subject
        signs = {s.a_signed, s.b_signed}
        sign = "mixed-sign" if len(signs) > 1 else "signed" if s.a_signed else "unsigned"
        noun = "multiplier" if s.operation == "multiply" else "adder"
        return f"{s.a_bits} x {s.b_bits}-bit {sign} {noun}"


def find_candidates(words: Sequence[str], width: int | None = None, *, signed: bool = False) -> list[Candidate]:
    """The circuits that words name, each once, in their order.

    Args:
        words: names such as ``"drum8_4"``, families such as ``"drum"``, ``"all"`` for every multiplier family, or paths
            of product tables and netlists.
        width: operand width of families; 8 for multipliers and 16 for adders if not given.
        signed: take the signed versions of multiplier families.

    Raises:
        RegistryError, CircuitError, ToolError: a name is unknown, a file cannot be imported, a family has no circuit of
            this width in its list, or the circuits do not do the same with operands of the same widths.
    """
    found: dict[str, Candidate] = {}
    for word in words:
        for candidate in _resolve(word, width, signed=signed):
            if candidate.name in found and candidate.circuit != found[candidate.name].circuit:
                raise CircuitError(f"two different circuits are called {candidate.name!r}; rename the file of one")
            found.setdefault(candidate.name, candidate)
    kinds = {candidate.kind: candidate.name for candidate in found.values()}
    if len(kinds) > 1:
        listed = ", ".join(f"{name!r} ({kind})" for kind, name in kinds.items())
        raise CircuitError(f"only circuits for the same operation and operands can be compared, not {listed}")
    return list(found.values())


def _resolve(word: str, width: int | None, *, signed: bool) -> list[Candidate]:
    if word == ALL or word in MULTIPLIERS:
        bits = MULTIPLIER_WIDTH if width is None else width
        listed = catalogue.names(bits, signed=signed)
        chosen = [name for name in listed if word in (ALL, catalogue.parse(name)[0].name)]
    elif word in ADDERS:
        bits = ADDER_WIDTH if width is None else width
        chosen = [name for name in adder_catalogue.names(bits) if adder_catalogue.parse(name)[0].name == word]
    elif _is_file(word):
        return [_imported(Path(word))]
    else:
        return [_named(word)]
    if not chosen:
        raise CircuitError(f"no circuit of {word!r} is listed for {bits} bits; give another --width, or names")
    return [_named(name) for name in chosen]


def _is_file(word: str) -> bool:
    suffixes = {suffix for name in IMPORTERS.names() for suffix in IMPORTERS[name].suffixes}
    return Path(word).suffix.lower() in suffixes or "/" in word or "\\" in word


def _named(name: str) -> Candidate:
    if adder_catalogue.known(name):
        adder = adder_catalogue.get(name)
        family, circuit = ADDERS[adder.family], adder.circuit
        return Candidate(circuit.name, family.name, subject_of(adder), circuit, circuit.source, family.definition)
    kind, bits, _, _ = catalogue.parse(name)
    circuit = catalogue.circuit(name)
    tabled = catalogue.get(name) if 2 * bits <= catalogue.MAX_TABLE_BITS else name
    return Candidate(circuit.name, kind.name, subject_of(tabled), circuit, circuit.source, kind.definition)


def _imported(path: Path) -> Candidate:
    imported = load(path, compare=False)
    told = "; ".join(imported.assumptions) or "nothing had to be assumed"
    source = f"{imported.origin}, read as {imported.format}"
    multiplier = imported.multiplier
    return Candidate(
        multiplier.name, "imported", subject_of(multiplier), imported.circuit, source, f"Read from a file: {told}."
    )
