"""Names, descriptions and the multiplier type."""

import hashlib
import json

import numpy as np
import pytest

from laxity.circuits import Multiplier, Parameter, circuit, describe, get, multiplier_family, names
from laxity.circuits.catalogue import parse, require_circuit
from laxity.core.errors import CircuitError, RegistryError


def test_default_catalogue():
    listed = names()
    assert len(listed) >= 75
    assert len(listed) + len(names(signed=True)) >= 150
    assert len(set(listed)) == len(listed)
    assert [n.replace("8s", "8", 1) for n in names(signed=True)] == listed
    assert {"dadda8", "array8", "udm8", "drum8_4", "mitchell8", "roba8", "optrunc8_2", "coltrunc8_6", "bam8_6_2"} <= {
        *listed
    }
    assert "udm6" not in names(6)
    assert all(get(name).name == name for name in names(6, signed=True))


def test_circuits_of_one_function_are_known():
    """Exact ones, column truncation in two designs, LETAM as DRUM, and rows or digits dropped in different ways."""
    groups = {}
    for name in names():
        groups.setdefault(get(name).table_sha256, []).append(name)
    kinds = {tuple(sorted({n.split("8")[0] for n in group})) for group in groups.values() if len(group) > 1}
    assert kinds == {
        ("array", "booth", "dadda", "wallace"),
        ("bam", "coltrunc"),
        ("bam", "perf"),
        ("drum", "letam"),
    } | {("dsm", "ssm")}
    assert len(groups) >= 75


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
        ("mbm8_6", CircuitError, r"t=6 in 'mbm8_6' is out of range; use 0\.\.5"),
        ("mbm8_1_1", CircuitError, r"takes t, got 1, 1; write mbm8\[_<t>\]"),
        ("roup8_1", CircuitError, "takes p, r, got 1; write roup8_<p>_<r>"),
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


def test_parameters_with_defaults_may_be_left_out():
    assert parse("mbm8") == parse("mbm8_0")
    assert get("mbm8_0").name == get("mbm8").name == "mbm8"
    assert circuit("mbm8s_0") == circuit("mbm8s")
    assert get("mbm8_2").name == "mbm8_2"
    optional = Parameter("x", "optional", lambda n: 0, lambda n: n, default=1)
    needed = Parameter("y", "needed", lambda n: 0, lambda n: n)
    with pytest.raises(CircuitError, match="parameters of multiplier family 'mine' with defaults must come last"):
        multiplier_family("mine", source="test", parameters=[optional, needed])


def test_natively_signed_families_have_no_sign_logic():
    assert circuit("booth8s").blocks() == ["multiplier"]
    assert circuit("dadda8s").blocks() == ["multiplier", "sign"]
    assert "two's complement" in circuit("booth8s").source
    assert "sign and magnitude" in circuit("dadda8s").source
    assert describe("booth8s")["area_um2"] < describe("dadda8s")["area_um2"]
