"""Layers whose sums, with or without what corrects for zero-points, leave 31 bits."""

import numpy as np
import pytest
import torch
from torch import nn

from laxity.circuits import Multiplier, catalogue
from laxity.techniques import Integer

LONG = 70_000
CODES = np.arange(256)


def tables():
    rng = np.random.default_rng(0)
    return {
        "nothing": np.zeros((256, 256), np.int64),
        "constant": np.full((256, 256), 40_000),
        "exact": np.outer(CODES, CODES),
        "few terms": np.outer(CODES // 4, CODES) + 20_000,
        "any": rng.choice([-32_767, 32_767], (256, 256)),
        "small": rng.integers(-1, 2, (256, 256)),
        "mitchell8": catalogue.get("mitchell8").table,
    }


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("name", list(tables()))
def test_sums_beyond_31_bits(ref, level, scheme, name):
    """Weights all of one sign and inputs mostly at one end: sums, zero-point terms and both together are extreme."""
    layer = nn.Linear(LONG, 2, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight[1] = -1.0
    x = torch.full((3, LONG), -1.0)
    x[0], x[2, ::3] = 0.0, -0.25
    multiplier = Multiplier.from_table(tables()[name], a_signed=False, b_signed=False, name=name)
    emulated = ref.emulate(layer, x, Integer(input_scheme=scheme), multiplier)
    codes = emulated.operand.input.codes(x)
    wanted = ref.sums(layer, emulated, codes)
    assert np.array_equal(emulated.integer_sums(codes).to(torch.float64).numpy(), wanted)
    scale, _ = emulated.operand.weight.scale_and_zero(layer.weight)
    assert torch.equal(emulated(x), torch.from_numpy(wanted).to(torch.float32) * (scale * emulated.operand.input.scale))
