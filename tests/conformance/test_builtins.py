"""Everything that comes with laxity passes the checks that third parties are offered."""

from __future__ import annotations

import subprocess
import sys

import pytest

from laxity import techniques
from laxity.circuits import adder_catalogue, catalogue
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.faults import BUILT_IN_FAULTS
from laxity.targets import load_target
from laxity.testing import check_adder, check_fault_model, check_multiplier, check_target, check_technique

NAMES = [name for width in (2, 3, 4, 8) for signed in (False, True) for name in catalogue.names(width, signed=signed)]


@pytest.mark.parametrize("name", NAMES)
def test_multiplier(name: str) -> None:
    check_multiplier(name)


@pytest.mark.parametrize("name", [*adder_catalogue.names(8), *adder_catalogue.names(24)])
def test_adder(name: str) -> None:
    check_adder(name)


SEARCHED = [n for n in techniques.__all__ if "candidates" in vars(getattr(techniques, n))]
"""Techniques that a search applies of its own accord; of the others, instances are checked."""


@pytest.mark.parametrize("name", SEARCHED)
def test_technique(name: str) -> None:
    check_technique(getattr(techniques, name))


def test_every_registered_technique_is_among_them() -> None:
    assert {TECHNIQUES[n].__name__ for n in TECHNIQUES.names()} >= set(techniques.__all__)


INSTANCES = [
    techniques.Integer(2, 2),
    techniques.Integer(4, 8, weight_scheme="affine", input_scheme="affine"),
    techniques.Integer(5, 6, granularity="tensor", calibration="percentile"),
    techniques.Integer(16, 12),
    techniques.Minifloat.named("e4m3"),
    techniques.BFloat16(3, 5),
    techniques.HybridFloat(scaling="channel"),
    techniques.MagnitudePruning(0.05, normalised=False),
    techniques.CircuitMultiplier("mitchell8"),
    techniques.CircuitMultiplier("array8"),
    techniques.ComposedProduct("drum4_3"),
    techniques.ControlVariate("mitchell8", 8, 4),
    techniques.FilterMultipliers("dadda8 drum8_4 mitchell8", "8 6 4", "01201201"),
    techniques.FilterMultipliers("dadda8 coltrunc8_4", "", "100101010011"),
    techniques.CircuitAccumulator("aca20_6", "saturate", 16),
    techniques.CircuitAccumulator("ripple18"),
    techniques.CurableCarry(20, 6),
    techniques.Secded(),
    techniques.Secded(16),
    techniques.Parity(8),
    techniques.Parity(then="zero"),
    techniques.TmrBits(bits="6,0"),
    techniques.Tmr(),
    techniques.InPlaceEcc(),
    techniques.InPlaceEcc("kept"),
    techniques.WeightClip(),
    techniques.WeightClip("layer", "saturate", notice=True),
    techniques.Abft("measured", "position", fitted=True, inputs=True),
    techniques.Abft(bits=24, response="reload"),
    techniques.Redundancy(2, response="recompute"),
    techniques.Redundancy(3, weights=True),
    techniques.RangeRestriction(),
    techniques.RangeRestriction("channel", "zero", 0.9),
]


def test_every_technique_is_checked() -> None:
    assert set(SEARCHED) | {type(choice).__name__ for choice in INSTANCES} >= set(techniques.__all__)


@pytest.mark.parametrize("choice", INSTANCES, ids=lambda c: c.label())
def test_technique_instance(choice: Approximation) -> None:
    check_technique(choice)


@pytest.mark.parametrize("fault", BUILT_IN_FAULTS, ids=lambda f: f.kind)
def test_fault_model(fault: type) -> None:
    check_fault_model(fault(1e-2))


def test_target() -> None:
    check_target(load_target("mac-array-45nm"))


def test_hardware_checks_need_no_torch() -> None:
    code = (
        "import sys; from laxity.testing import check_adder, check_fault_model, check_multiplier, check_target; "
        "check_multiplier('drum8_4'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
