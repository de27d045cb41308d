"""The check of adders finds what is wrong."""

from __future__ import annotations

import dataclasses

import pytest

from laxity.circuits import Adder, Circuit, CircuitBuilder, adder_catalogue
from laxity.core.errors import CircuitError, RegistryError
from laxity.testing import check_adder


def joined(name: str, source: str = "test") -> Circuit:
    """Four bits joined by OR gates, no carry."""
    builder = CircuitBuilder(name, source)
    a, b = builder.input("a", 4), builder.input("b", 4)
    builder.output("s", [*(builder.or_(x, y) for x, y in zip(a, b, strict=True)), 0])
    return builder.build()


def test_unknown_name() -> None:
    with pytest.raises(RegistryError, match="did you mean"):
        check_adder("lao16_4")


def test_adders_that_claim_to_be_exact() -> None:
    inexact = adder_catalogue.get("loa8_2")
    with pytest.raises(CircuitError, match=r"says that it is exact, but errs on 43\.8 % of the pairs"):
        check_adder(dataclasses.replace(inexact, exact=True))


def test_names_and_sources() -> None:
    with pytest.raises(CircuitError, match="no identifier") as caught:
        check_adder(Adder("my adder", joined("mine", " "), " "))
    for part in ("family is empty", "source of the circuit is empty", "cannot build it from its name"):
        assert part in str(caught.value)


def test_name_under_which_the_catalogue_has_something_else() -> None:
    with pytest.raises(CircuitError, match="builds another netlist"):
        check_adder(dataclasses.replace(adder_catalogue.get("loa8_2"), name="loa8_3"))


def test_circuit_without_gates_has_no_area() -> None:
    builder = CircuitBuilder("wires", "test")
    a, _ = builder.input("a", 4), builder.input("b", 4)
    builder.output("s", [*a, 0])
    with pytest.raises(CircuitError, match="area_um2 is 0") as caught:
        check_adder(Adder("wires", builder.build()))
    assert "delay_ns" in str(caught.value)
