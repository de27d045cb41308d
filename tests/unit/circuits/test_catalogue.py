"""Names, descriptions and the multiplier type."""

import hashlib
import json

import numpy as np
import pytest

from laxity.circuits import Multiplier, circuit, describe, get, multiplier_family, names
from laxity.circuits.catalogue import require_circuit
from laxity.core.errors import CircuitError, RegistryError


def test_default_catalogue():
    listed = names()
    assert 30 <= len(listed) <= 45
    assert len(set(listed)) == len(listed)
    assert [n.replace("8s", "8", 1) for n in names(signed=True)] == listed
    assert {"dadda8", "array8", "udm8", "drum8_4", "mitchell8", "roba8", "optrunc8_2", "coltrunc8_6", "bam8_6_2"} <= {
        *listed
    }
    assert "udm6" not in names(6)
    assert all(get(name).name == name for name in names(6, signed=True))


def test_every_default_circuit_but_the_two_exact_ones_is_a_different_function_or_design():
    tables = {}
    for name in names():
        tables.setdefault(get(name).table_sha256, []).append(name)
    repeated = sorted(group for group in tables.values() if len(group) > 1)
    assert repeated[0] == ["array8", "dadda8"]
    assert all({n.split("8")[0] for n in group} == {"bam", "coltrunc"} for group in repeated[1:])


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("drumm8_4", RegistryError, "did you mean 'drum8_4'"),
        ("dada8", RegistryError, "did you mean 'dadda8'"),
        ("dadda", RegistryError, "not a multiplier name"),
        ("drum8_4_", RegistryError, "not a multiplier name"),
        ("drum8", CircuitError, "takes k, got none; write drum8_<k>"),
        ("bam8_6", CircuitError, "takes vbl, hbl, got 6"),
        ("dadda8_1", CircuitError, "no parameters"),
        ("drum8_9", CircuitError, r"k=9 in 'drum8_9' is out of range; use 3\.\.8"),
        ("coltrunc8_15", CircuitError, r"use 0\.\.14"),
        ("udm6", CircuitError, "widths 2, 4, 8, 16, not 6"),
        ("dadda17", CircuitError, r"widths 2\.\.16, not 17"),
        ("dadda12", CircuitError, "at most 20 operand bits"),
    ],
)
def test_wrong_names_say_what_is_allowed(name, error, message):
    with pytest.raises(error, match=message):
        get(name)


def test_multipliers_are_cached_read_only_and_equal_by_table():
    multiplier = get("dadda8")
    assert get("dadda8") is multiplier
    with pytest.raises(ValueError, match="read-only"):
        multiplier.table[0, 0] = 1
    assert multiplier == get("array8")
    assert hash(multiplier) == hash(get("array8"))
    assert multiplier != get("dadda8s")
    assert multiplier != get("drum8_4")
    assert (
        multiplier.table_sha256
        == hashlib.sha256(np.multiply.outer(np.arange(256), np.arange(256)).astype("<i8")).hexdigest()
    )


def test_from_table_copies_and_checks():
    source = np.arange(8).reshape(4, 2)
    multiplier = Multiplier.from_table(source, a_signed=False, b_signed=True, name="mine")
    source[0, 0] = 99
    assert multiplier.table[0, 0] == 0
    assert (multiplier.a_bits, multiplier.b_bits, multiplier.signed) == (2, 1, False)
    assert multiplier.b_values().tolist() == [0, -1]
    assert multiplier.exact_table().tolist() == [[0, 0], [0, -1], [0, -2], [0, -3]]
    with pytest.raises(CircuitError, match="table only"):
        require_circuit(multiplier)
    for bad in (np.zeros((3, 4), int), np.zeros(4, int), np.zeros((4, 4)), np.zeros((1, 4), int)):
        with pytest.raises(CircuitError, match="bad"):
            Multiplier.from_table(bad, a_signed=False, b_signed=False, name="bad")


def test_from_circuit_reads_signed_products():
    multiplier = Multiplier.from_circuit(circuit("dadda4s"), signed=True)
    assert multiplier.table[0b1000, 0b0111] == -56
    assert multiplier.name == "dadda4s"


def test_description_is_plain_and_consistent():
    facts = describe("drum8s_4")
    json.dumps(facts)
    wanted = {
        "name",
        "a_bits",
        "b_bits",
        "signed",
        "gates",
        "ep",
        "med",
        "wce",
        "mred",
        "max_red",
        "nmed",
        "mse",
        "bias",
    }
    assert wanted | {"table_sha256", "area_um2", "delay_ns", "family", "source"} <= set(facts)
    metrics = get("drum8s_4").metrics()
    assert facts["mred"] == metrics.mred
    assert facts["gates"] == len(circuit("drum8s_4").gates)
    assert (facts["family"], facts["signed"], facts["a_bits"]) == ("drum", True, 8)
    assert facts["area_um2"] > describe("drum8_4")["area_um2"]


def test_family_names_are_letters():
    with pytest.raises(CircuitError, match="lower-case letters"):
        multiplier_family("x2", source="test")
