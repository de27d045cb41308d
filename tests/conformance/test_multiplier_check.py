"""The check of multipliers finds what is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from laxity.circuits import CircuitBuilder, Multiplier, catalogue
from laxity.core.errors import CircuitError, RegistryError
from laxity.testing import check_multiplier


def table_only(table: np.ndarray, name: str = "mine") -> Multiplier:
    return Multiplier.from_table(table, a_signed=False, b_signed=False, name=name)


def test_a_table_without_netlist_conforms() -> None:
    check_multiplier(table_only(np.multiply.outer(np.arange(16), np.arange(8))))


def test_unknown_name() -> None:
    with pytest.raises(RegistryError, match="did you mean"):
        check_multiplier("dada8")


def test_products_that_do_not_fit() -> None:
    table = np.multiply.outer(np.arange(4), np.arange(4))
    table[3, 3] = 16
    with pytest.raises(CircuitError, match="from 0 to 16 do not fit 4 bits"):
        check_multiplier(table_only(table))
    table[3, 3] = -1
    with pytest.raises(CircuitError, match="from -1 to 6 do not fit"):
        check_multiplier(table_only(table))


def test_name_that_verilog_cannot_use() -> None:
    with pytest.raises(CircuitError, match="no identifier"):
        check_multiplier(table_only(np.zeros((4, 4), np.int64), name="my multiplier"))


def test_table_that_differs_from_its_netlist() -> None:
    good = catalogue.get("dadda4")
    table = good.table.copy()
    table[5, 7] += 1
    with pytest.raises(CircuitError, match="1 of 256 products of the table"):
        check_multiplier(Multiplier("dadda4", 4, 4, False, False, table, good.circuit, "dadda"))


def test_wrong_ports() -> None:
    good = catalogue.get("dadda4")
    with pytest.raises(CircuitError, match=r"input ports must be a \(3 bits\)"):
        check_multiplier(Multiplier("dadda4", 3, 4, False, False, good.table[:8], good.circuit, "dadda"))


def test_name_under_which_the_catalogue_has_something_else() -> None:
    other = catalogue.get("optrunc4_2")
    with pytest.raises(CircuitError, match="builds another table or netlist"):
        check_multiplier(dataclasses.replace(other, name="dadda4"))
    with pytest.raises(CircuitError, match="cannot build it from its name"):
        check_multiplier(dataclasses.replace(other, name="mine4"))


def test_circuit_without_gates_has_no_area() -> None:
    builder = CircuitBuilder("wires2", "test")
    a, b = builder.input("a", 2), builder.input("b", 2)
    builder.output("p", [*a, *b])
    with pytest.raises(CircuitError, match="area_um2 is 0") as caught:
        check_multiplier(Multiplier.from_circuit(builder.build(), signed=False))
    assert "delay_ns" in str(caught.value)
