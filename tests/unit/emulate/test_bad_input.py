"""What an emulated operation cannot compute is an error that names the site and what was given."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from laxity import Plan, approximate
from laxity.circuits import Multiplier, catalogue
from laxity.core.errors import CircuitError, DataError, PlanError
from laxity.emulate import matmul
from laxity.kernels import products_for
from laxity.techniques import CircuitMultiplier, Integer, Minifloat

TABLE = (Integer(), CircuitMultiplier("mitchell8"))
LAYERS = {
    "one pass": (lambda: nn.Conv2d(2, 3, 3), TABLE),
    "low rank": (lambda: nn.Conv2d(2, 3, 3), (Integer(),)),
    "grouped": (lambda: nn.Conv2d(2, 4, 3, groups=2), TABLE),
    "step by step": (lambda: nn.Conv2d(2, 3, 3), (Integer(weight_scheme="affine"), CircuitMultiplier("mitchell8"))),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3), TABLE),
    "reflected": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), TABLE),
    "minifloat": (lambda: nn.Conv2d(2, 3, 3), (Minifloat(),)),
}


class Model(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.part = layer

    def forward(self, x):
        return self.part(x)


def emulated(layer, x, choices=TABLE):
    return approximate(Model(layer).eval(), Plan().with_("part", *choices), calibration=x)


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture(scope="module", params=list(LAYERS))
def convolution(request):
    make, choices = LAYERS[request.param]
    torch.manual_seed(0)
    return emulated(make(), random(4, 2, 6, 6), choices)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (2, 1, 5, 5)])
def test_values_that_are_not_finite(convolution, value, place):
    x = random(3, 2, 6, 6)
    x[place] = value
    with pytest.raises(DataError, match=r"input of site 'part', shape \(3, 2, [68], [68]\), holds NaN or infinite"):
        convolution(x)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool, torch.complex64]
)
def test_other_dtypes(convolution, dtype):
    with pytest.raises(DataError, match=rf"input of site 'part' is {dtype} of shape \(1, 2, 6, 6\); the layer takes"):
        convolution(torch.ones(1, 2, 6, 6, dtype=dtype))


@pytest.mark.parametrize("shape", [(1, 3, 6, 6), (1, 1, 6, 6), (3, 6, 6), (2, 6), (6,), (), (1, 1, 2, 6, 6)])
def test_other_shapes(convolution, shape):
    wanted = rf"input of site 'part' is torch.float32 of shape {re.escape(str(shape))}; the layer takes .* 2 channels"
    with pytest.raises(DataError, match=wanted):
        convolution(torch.zeros(shape))


def test_inputs_that_the_kernel_does_not_fit_in():
    for layer, least in (
        (nn.Conv2d(2, 3, 3, dilation=2), (5, 5)),
        (nn.Conv2d(2, 3, (3, 1), padding=(1, 0)), (1, 1)),
        (nn.Conv1d(2, 3, 2, padding=3, padding_mode="reflect"), (4,)),
        (nn.Conv1d(2, 3, 1, padding=3, padding_mode="circular"), (3,)),
    ):
        model = emulated(layer, random(2, 2, *([6] * len(least))))
        assert model(random(2, 2, *least)).shape == layer(random(2, 2, *least)).shape
        small = (2, 2, *least[:-1], least[-1] - 1)
        with pytest.raises(DataError, match=rf"'part' is .*{re.escape(str(small))}; kernel and padding need at least"):
            model(torch.zeros(small))
        with pytest.raises(RuntimeError):
            layer(torch.zeros(small))


def test_other_devices_layouts_and_things(convolution):
    with pytest.raises(DataError, match=r"input of site 'part', shape \(1, 2, 6, 6\), is on meta and the layer on cpu"):
        convolution(torch.zeros(1, 2, 6, 6, device="meta"))
    with pytest.raises(DataError, match=r"input of site 'part' is torch.sparse_coo torch.float32 of shape"):
        convolution(torch.ones(1, 2, 6, 6).to_sparse())
    with pytest.raises(DataError, match="input of site 'part' is a ndarray; the layer takes"):
        convolution(np.zeros((1, 2, 6, 6), np.float32))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite(convolution, value):
    kept = convolution.part.weight.detach().clone()
    x = random(2, 2, 6, 6)
    before = convolution(x)
    with torch.no_grad():
        convolution.part.weight[0, 0, 1, 1] = value
    with pytest.raises(DataError, match=r"weight of site 'part', shape \(\d, \d, 3, 3\), holds NaN or infinite values"):
        convolution(x)
    with torch.no_grad():
        convolution.part.weight.copy_(kept)
    assert torch.equal(convolution(x), before)


def test_empty_batches_and_no_batch(convolution):
    x = random(3, 2, 6, 6)
    wanted = convolution(x)
    assert convolution(x[:0]).shape == (0, *wanted.shape[1:])
    assert convolution(x[:0]).dtype == torch.float32
    assert torch.equal(convolution(x[1]), wanted[1])
    assert torch.equal(convolution(x[1:2]), wanted[1:2])


def test_linear_layers():
    layer = nn.Linear(4, 3)
    model = emulated(layer, random(8, 4))
    x = random(8, 4)
    wanted = model(x)
    assert torch.equal(model(x[2]), wanted[2])
    assert torch.equal(model(x.reshape(2, 2, 2, 4)), wanted.reshape(2, 2, 2, 3))
    for shape in ((0, 4), (2, 0, 4)):
        assert model(torch.zeros(shape)).shape == (*shape[:-1], 3)
    for shape in ((5,), (2, 5), (4, 3), ()):
        wanted = (
            rf"input of site 'part' is torch.float32 of shape {re.escape(str(shape))}; the layer takes .* 4 channels"
        )
        with pytest.raises(DataError, match=wanted):
            model(torch.zeros(shape))
    with pytest.raises(DataError, match=r"input of site 'part', shape \(2, 4\), holds NaN"):
        model(torch.full((2, 4), torch.nan))


class Product(nn.Module):
    def forward(self, x, y=None):
        return x @ (x.transpose(-1, -2) if y is None else y)


PRODUCTS = {
    "symmetric": (Integer(), CircuitMultiplier("mitchell8")),
    "affine": (Integer(input_scheme="affine"), CircuitMultiplier("mitchell8")),
    "minifloat": (Minifloat(),),
}


@pytest.fixture(scope="module", params=list(PRODUCTS))
def product(request):
    choices = PRODUCTS[request.param]
    return approximate(Product(), Plan().with_(":matmul#0", *choices), calibration=random(4, 5, 6))


def test_factors(product):
    x, y = random(2, 5, 6), random(2, 6, 3)
    assert product(x, y).shape == (2, 5, 3)
    for left, right in (
        (x, random(2, 5, 3)),
        (x, random(3, 6, 3)),
        (x.double(), y),
        (x, y.bfloat16()),
        (x.long(), y.long()),
        (torch.zeros(()), y),
    ):
        with pytest.raises(DataError, match=r"site ':matmul#0' multiplies .* not .* of shape .* by .* of shape"):
            product(left, right)
    with pytest.raises(DataError, match=r"factors of site ':matmul#0', .* are on cpu and meta"):
        product(x, y.to("meta"))
    for place in ((0, 0, 0), (1, 2, 2)):
        for which in (x, y):
            bad = which.clone()
            bad[place] = torch.nan
            with pytest.raises(DataError, match=r"input of site ':matmul#0', shape \(2, \d, \d\), holds NaN"):
                product(bad if which is x else x, bad if which is y else y)


def test_factors_without_elements(product):
    for left, right in (((0, 5, 6), (0, 6, 3)), ((2, 0, 6), (2, 6, 3)), ((2, 5, 6), (6, 0)), ((2, 5, 0), (2, 0, 3))):
        found = product(torch.zeros(left), torch.zeros(right))
        assert torch.equal(found, torch.zeros(left) @ torch.zeros(right))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((256, 255), int), r"shape \(256, 255\); both sides must be powers of two"),
        (np.zeros(256, int), r"shape \(256,\); both sides"),
        (np.zeros((2, 4, 8), int), r"shape \(2, 4, 8\); both sides"),
        (np.zeros((256, 256)), r"is float64 \(256, 256\); give integers"),
        (np.zeros((256, 256), bool), r"is bool \(256, 256\); give integers"),
        (
            np.full((4, 4), 2**63, np.uint64),
            r"an entry of 9223372036854775808; products are at most",
        ),
        ([["a", "b"], ["c", "d"]], r"give integers"),
    ],
)
def test_tables(table, message):
    with pytest.raises(CircuitError, match=message):
        Multiplier.from_table(table, a_signed=False, b_signed=False)


def test_unsigned_tables_up_to_the_largest_product():
    table = np.full((4, 4), 2**63 - 1, np.uint64)
    assert Multiplier.from_table(table, a_signed=False, b_signed=False).table.max() == 2**63 - 1


def test_products_that_layers_cannot_add_exactly():
    """They are refused, and `matmul` adds them."""
    table = np.random.default_rng(0).integers(-(2**52), 2**52, (256, 256))
    big = Multiplier.from_table(table, a_signed=False, b_signed=False, name="big")
    kernel, _ = products_for(big, (0, 255), (0, 255))
    with pytest.raises(PlanError, match=r"sums of products may reach .* exact to 2\*\*53"):
        kernel.matmul(torch.zeros(1, 5000), torch.zeros(5000, 4))
    code = torch.zeros(1, 5000, dtype=torch.uint8)
    assert int(matmul(code, code.T, big)) == 5000 * int(table[0, 0])
    beyond = Multiplier.from_table(table * 4, a_signed=False, b_signed=False, name="beyond")
    with pytest.raises(PlanError, match=r"multiplier 'beyond' has products up to \d+; layers add exactly"):
        products_for(beyond, (0, 255), (0, 255))


def test_codes_wider_than_the_circuit():
    with pytest.raises(PlanError, match="'part': operands of 8 x 8 bits do not fit multiplier 'dadda4'"):
        emulated(nn.Linear(4, 3), random(3, 4), (Integer(), CircuitMultiplier("dadda4")))
    assert catalogue.get("dadda4").a_bits == 4
