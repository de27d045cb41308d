"""Closed forms against the netlists that define the families, and composition against its definition."""

import numpy as np
import pytest
import torch

from laxity.circuits import MULTIPLIERS, Multiplier, catalogue, evaluate, multiplier_family
from laxity.circuits.formula import top_power
from laxity.circuits.wide import ComposedMultiplier, WideMultiplier, core, wide
from laxity.core.errors import CircuitError

CLOSED = [kind for kind in MULTIPLIERS.names() if MULTIPLIERS[kind].formula is not None]


def wide_names(width):
    """The grid of every family with a closed form, thinned, with its ends."""
    found = []
    for kind in CLOSED:
        family = MULTIPLIERS[kind]
        grid = list(family.grid(width)) if width in family.widths else []
        if grid:
            found += [family.circuit_name(width, p) for p in sorted({*grid[::5], grid[0], grid[-1]})]
    return found


def test_the_families_that_promise_closed_forms_have_them():
    assert set(MULTIPLIERS.names()) - set(CLOSED) == {"momenione", "momenitwo", "venka"}


@pytest.mark.parametrize("name", [n for w in (3, 4, 6, 8) for n in catalogue.names(w)])
def test_closed_form_equals_the_table(name):
    if catalogue.parse(name)[0].formula is None:
        with pytest.raises(CircuitError, match="states no closed form"):
            wide(name)
        return
    form, table = wide(name), catalogue.get(name).table
    a, b = np.indices(table.shape)
    assert np.array_equal(form.product(a, b), table)


MODES = ["gated12_0_6", "gated16_0_0", "gated16_8_3", "gatedcol12_7", "gatedcol16_16"]


@pytest.mark.parametrize("name", [*wide_names(12), *wide_names(16), *MODES])
def test_closed_form_equals_the_netlist(name):
    form = wide(name)
    top = (1 << form.width) - 1
    rng = np.random.default_rng(0)
    edges = np.array([0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, top, top - 1, top // 2, top // 2 + 1, 3 << (form.width - 2)])
    a, b = (e.ravel() for e in np.meshgrid(edges, edges))
    # Half of the operands are uniform in their logarithm, so that small ones occur.
    uniform = rng.integers(0, top + 1, (2, 3000))
    small = np.exp2(rng.uniform(0, form.width, (2, 3000))).astype(np.int64)
    a, b = np.concatenate([a, uniform[0], small[0]]), np.concatenate([b, uniform[1], small[1]])
    assert np.array_equal(form.product(a, b), evaluate(catalogue.circuit(name), {"a": a, "b": b})["p"])


@pytest.mark.parametrize("name", [n for n in wide_names(16) if MULTIPLIERS[catalogue.parse(n)[0].name].formula.combine])
def test_closed_forms_serve_torch_alike(name):
    form = wide(name)
    a, b = np.random.default_rng(1).integers(0, 1 << 16, (2, 500))
    features = [
        list(torch.from_numpy(form.features(x, right=right)).to(torch.float64)) for x, right in ((a, False), (b, True))
    ]
    assert form.formula.combine(*features).tolist() == form.product(a, b).tolist()


def test_features_of_a_sum_of_products():
    form = wide("drum16_6")
    a, b = np.array([40000, 17]), np.array([3, 999])
    assert np.array_equal(form.features(a, right=False)[0] * form.features(b, right=True)[0], form.product(a, b))


def test_top_power():
    x = np.arange(70000)
    assert np.array_equal(top_power(x), [1 << (int(v).bit_length() - 1) if v else 0 for v in x])


def test_core_prefers_the_table():
    assert isinstance(core("drum8_4"), Multiplier)
    assert isinstance(core("dadda10"), Multiplier)
    assert isinstance(core("drum16_6"), WideMultiplier)
    assert core("mitchell12") is wide("mitchell12")
    assert (core("mitchell12").a_bits, core("mitchell12").b_bits) == (12, 12)


def test_signed_closed_forms_are_refused():
    with pytest.raises(CircuitError, match="'drum16s_6' is signed; closed forms are for magnitudes"):
        wide("drum16s_6")


def test_a_family_without_closed_form_is_refused_beyond_tables(monkeypatch):
    monkeypatch.setattr(MULTIPLIERS, "_entries", dict(MULTIPLIERS._entries))

    @multiplier_family("zeroes", source="this test")
    def zeroes(builder, a, b):
        """Product p = 0."""
        return [builder.and_(a[0], builder.inv(a[0]))] * (len(a) + len(b))

    with pytest.raises(CircuitError, match="family 'zeroes' states no closed form, and a table for 'zeroes12'"):
        core("zeroes12")


def test_pieces():
    composed = ComposedMultiplier(catalogue.get("drum8_4"))
    assert composed.name == "drum8_4"
    assert composed.pieces(16, 9) == (2, 2)
    assert composed.pieces(8, 16) == (1, 2)


def test_parts_must_give_zero_for_zero():
    with pytest.raises(CircuitError, match="'momenitwo8_8' has products with 0 that are not 0"):
        ComposedMultiplier(catalogue.get("momenitwo8_8"))
    with pytest.raises(CircuitError, match="'dadda8s' is signed; compose products of an unsigned one"):
        ComposedMultiplier(catalogue.get("dadda8s"))


@pytest.mark.parametrize("name", ["udm8", "drum8_3", "mbm8", "mitchell4", "dadda4", "venka8_8"])
@pytest.mark.parametrize(("a_pieces", "b_pieces"), [(2, 2), (1, 2), (3, 1), (1, 1)])
def test_netlists_of_composed_multipliers(name, a_pieces, b_pieces):
    part = catalogue.get(name)
    netlist = ComposedMultiplier(part).circuit(a_pieces, b_pieces)
    assert netlist.name == f"comp{a_pieces}x{b_pieces}_{name}"
    rng = np.random.default_rng(2)
    a = rng.integers(0, 1 << (a_pieces * part.a_bits), 3000)
    b = rng.integers(0, 1 << (b_pieces * part.b_bits), 3000)
    a[:100], b[50:150] = a.max(), b.max()
    wanted = np.zeros_like(a)
    for i in range(a_pieces):
        for j in range(b_pieces):
            x, y = a >> (i * part.a_bits), b >> (j * part.b_bits)
            product = part.table[x % (1 << part.a_bits), y % (1 << part.b_bits)]
            wanted += product << (i * part.a_bits + j * part.b_bits)
    assert np.array_equal(evaluate(netlist, {"a": a, "b": b})["p"], wanted)


def test_a_wide_underdesigned_multiplier_is_composed_of_narrow_ones():
    netlist = ComposedMultiplier(catalogue.get("udm8")).circuit(2, 2)
    a, b = np.random.default_rng(3).integers(0, 1 << 16, (2, 5000))
    assert np.array_equal(evaluate(netlist, {"a": a, "b": b})["p"], wide("udm16").product(a, b))


def test_netlists_of_nothing_are_refused():
    with pytest.raises(CircuitError, match="0 x 1 pieces of 'dadda4'; use at least 1 x 1"):
        ComposedMultiplier(catalogue.get("dadda4")).circuit(0, 1)
    table = Multiplier.from_table(catalogue.get("dadda4").table, a_signed=False, b_signed=False, name="mine")
    with pytest.raises(CircuitError, match="'mine' is known by its table only"):
        ComposedMultiplier(table).circuit(2, 2)
