"""Every family, unsigned and signed, against an independent behavioural definition."""

import numpy as np
import pytest

from laxity.circuits import MULTIPLIERS, circuit, evaluate, get, names
from laxity.circuits.catalogue import parse
from laxity.core.seeds import stream

from .behaviour import SIGNED, UNSIGNED, products


def reference_table(name):
    family, width, signed, parameters = parse(name)
    codes = np.arange(1 << width)
    values = np.where(codes >> (width - 1), codes - (1 << width), codes) if signed else codes
    a, b = np.meshgrid(values, values, indexing="ij")
    return products(family.name, a, b, width, parameters, signed=signed)


def all_names(width):
    """Every family of a width with every parameter value that it allows."""
    for kind in MULTIPLIERS.names():
        family = MULTIPLIERS[kind]
        if width in family.widths:
            ranges = [range(p.low(width), p.high(width) + 1) for p in family.parameters]
            for index in np.ndindex(*(len(r) for r in ranges)):
                yield family.circuit_name(width, [r[i] for r, i in zip(ranges, index, strict=True)])


def test_all_families_have_a_reference():
    families = [MULTIPLIERS[kind] for kind in MULTIPLIERS.names()]
    assert {f.name for f in families} == set(UNSIGNED)
    assert {f.name for f in families if f.generate_signed} == set(SIGNED)
    assert all(f.definition and f.source for f in families)


@pytest.mark.parametrize("kind", sorted(UNSIGNED))
def test_grids_are_valid_at_every_width(kind):
    family = MULTIPLIERS[kind]
    for width in family.widths:
        grid = [tuple(parameters) for parameters in family.grid(width)]
        assert [family.check(width, parameters) for parameters in grid] == grid
        assert len(set(grid)) == len(grid)
        assert (grid == []) is (family.unit is not None) or width < 8


@pytest.mark.parametrize("name", names() + names(signed=True))
def test_catalogue_equals_the_definition_for_all_pairs(name):
    np.testing.assert_array_equal(get(name).table, reference_table(name))


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_every_parameter_value_of_narrow_widths(width):
    for name in all_names(width):
        np.testing.assert_array_equal(get(name).table, reference_table(name), err_msg=name)
        signed = name.replace(str(width), f"{width}s", 1)
        np.testing.assert_array_equal(get(signed).table, reference_table(signed), err_msg=signed)


@pytest.mark.parametrize(
    "name", ["drum7_4", "mitchell6", "mitchell7", "roba7", "dadda9", "roba6s", "mitchell10", "drum9_3"]
)
def test_widths_that_are_no_power_of_two(name):
    np.testing.assert_array_equal(get(name).table, reference_table(name))


def operands(width, count, *, signed):
    """Operand values: random ones, half of them uniform in their logarithm, and all pairs of extreme ones."""
    rng = stream(3, "wide", width, signed)
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    uniform = rng.integers(low, high + 1, (2, count // 2))
    small = np.exp2(rng.uniform(0, width - signed, (2, count - count // 2))).astype(np.int64)
    small = small * np.where(rng.random(small.shape) < 0.5, -1, 1) if signed else small
    edges = np.array([low, low + 1, high, high - 1, high // 2, high // 2 + 1, 0, 1, 2, 3])
    corners = np.stack([x.ravel() for x in np.meshgrid(edges, edges)])
    return np.concatenate([uniform, small, corners], axis=1)


def check_on_samples(name, count, chunk=1 << 17):
    """The netlist in pieces that stay in memory, against the definition."""
    family, width, signed, parameters = parse(name)
    values = operands(width, count, signed=signed)
    for start in range(0, values.shape[1], chunk):
        a, b = values[:, start : start + chunk]
        codes = evaluate(circuit(name), {"a": a % (1 << width), "b": b % (1 << width)})["p"]
        wanted = products(family.name, a, b, width, parameters, signed=signed)
        np.testing.assert_array_equal(codes, wanted % (1 << (2 * width)), err_msg=name)


@pytest.mark.parametrize("width", [11, 12, 16])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_wide_operands_on_samples(width, signed):
    for name in names(width, signed=signed):
        check_on_samples(name, 1500)


def spread(width, *, signed):
    """The first, middle and last parameters of every family."""
    found = []
    for kind in MULTIPLIERS.names():
        family = MULTIPLIERS[kind]
        grid = list(family.grid(width)) if width in family.widths else []
        picked = {grid[i] for i in (0, len(grid) // 2, -1)} if grid else set()
        found += [family.circuit_name(width, p, signed=signed) for p in sorted(picked)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for w in (12, 16) for n in spread(w, signed=False)])
def test_a_million_pairs(name):
    check_on_samples(name, 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for w in (12, 16) for n in spread(w, signed=True) if parse(n)[0].name in SIGNED])
def test_a_million_signed_pairs(name):
    check_on_samples(name, 1_000_000)
