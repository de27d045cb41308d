"""Small calibrated networks, and errors by loops over the definition."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from laxity import load_task
from laxity.core.plan import Plan
from laxity.emulate.apply import calibration_inputs, realise
from laxity.emulate.build import emulated
from laxity.sites import find_sites
from laxity.sites.prepare import prepare
from laxity.techniques import Integer


def quantised(network, inputs, *choices, only=None):
    """An emulated, calibrated copy of a network with the given choices (8-bit integers) at all its sites."""
    sites = find_sites(network, inputs[:1])
    plan = Plan.assign([s for s in sites if only is None or s.name in only], choices or [Integer()])
    return realise(prepare(network, inputs[:1]), plan, [inputs])


def site(model, name=None):
    """The emulated operation called `name`, or the only one."""
    return next(layer for layer in emulated(model) if name is None or layer.site.name == name)


def signed_error(multiplier, x, w, x_bits=8, w_bits=8):
    """``AM(x, w) - x w`` of two codes: magnitudes in the upper bits of an 8-bit circuit, sign outside."""
    up = 8 - x_bits, 8 - w_bits
    product = int(multiplier.table[abs(int(x)) << up[0], abs(int(w)) << up[1]]) * (-1 if (x < 0) != (w < 0) else 1)
    return product / 2 ** sum(up) - int(x) * int(w)


def summed_errors(multiplier, left, right, x_bits=8, w_bits=8):
    """Errors of the sums of codes (matrices, places, reduction) and (matrices, reduction, columns), by loops."""
    out = np.zeros((left.shape[0], left.shape[1], right.shape[2]))
    for g, p, n in np.ndindex(*out.shape):
        pairs = zip(left[g, p].tolist(), right[g, :, n].tolist(), strict=True)
        out[g, p, n] = sum(signed_error(multiplier, x, w, x_bits, w_bits) for x, w in pairs)
    return out


@pytest.fixture(scope="session")
def ref():
    """The functions above."""
    torch.set_num_threads(1)
    return SimpleNamespace(quantised=quantised, site=site, error=signed_error, sums=summed_errors)


@pytest.fixture(scope="session")
def digits():
    """Task, plan of 8-bit integers, calibrated model and its calibration inputs."""
    torch.set_num_threads(1)
    task = load_task("digits")
    prepared = prepare(task.model, task.example_input)
    plan = Plan.assign(prepared.sites, [Integer()])
    inputs = calibration_inputs(task, "cpu", 128)
    return SimpleNamespace(task=task, plan=plan, inputs=inputs, build=lambda: realise(prepared, plan, inputs))
