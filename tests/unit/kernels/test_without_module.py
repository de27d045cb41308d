"""Without the compiled module everything computes the same bits."""

import subprocess
import sys

import pytest

from laxity.kernels import native

PROGRAM = """
import hashlib, sys
if sys.argv[1] == "without":
    sys.modules["laxity.kernels._native"] = None
import torch
from torch import nn
from laxity import Plan, approximate
from laxity.kernels import native
from laxity.techniques import CircuitMultiplier, Integer

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, stride=2, groups=8)
        self.out = nn.Linear(128, 5)

    def forward(self, x):
        return self.out(self.deep(self.conv(x).relu()).flatten(1))

x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
print(native.level())
for name in ("dadda8", "drum8_4", "mitchell8"):
    for scheme in ("symmetric", "affine"):
        torch.manual_seed(1)
        plan = Plan()
        for site in ("conv", "deep", "out"):
            plan = plan.with_(site, Integer(input_scheme=scheme), CircuitMultiplier(name))
        print(hashlib.sha256(approximate(Net().eval(), plan, calibration=x)(x).detach().numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(not native.levels(), reason="laxity is installed without compiled kernels")
def test_results_are_the_same():
    lines = [
        subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True).stdout.split()
        for how in ("with", "without")
    ]
    assert lines[1][0] == "torch"
    assert lines[0][1:] == lines[1][1:]
    assert len(set(lines[0][1:])) == 6
