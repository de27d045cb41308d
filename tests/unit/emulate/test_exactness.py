"""Emulated layers compute, product by product, what the circuit computes."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from laxity.circuits import Multiplier, catalogue
from laxity.core.errors import PlanError
from laxity.techniques import Integer

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # said by the native layers

FEW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@st.composite
def layers(draw):
    """A random layer with an input that fits it."""
    kind = draw(st.sampled_from(["linear", "conv", "conv", "conv", "transposed"]))
    torch.manual_seed(draw(st.integers(0, 2**20)))
    batch = draw(st.integers(0, 3))
    bias = draw(st.booleans())
    if kind == "linear":
        features = draw(st.integers(1, 9))
        layer = nn.Linear(features, draw(st.integers(1, 6)), bias)
        lead = (batch,) if draw(st.booleans()) else (batch, draw(st.integers(1, 3)))
        return layer, (*lead, features)
    dims = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    inputs = groups * draw(st.integers(1, 2))
    outputs = groups * draw(st.integers(1, 3 if kind == "conv" else 2))

    def sizes(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    kernel, stride, dilation = sizes(1, 3), sizes(1, 3), sizes(1, 2)
    spatial = sizes(1, 6 if dims < 3 else 4)
    if kind == "transposed":
        spatial = tuple(min(n, 4) for n in spatial)
        extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        padding = sizes(0, 3)
        size = [
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, s, p, d, k, e in zip(spatial, stride, padding, dilation, kernel, extra, strict=True)
        ]
        assume(min(size) > 0)
        layer = nn.ConvTranspose1d if dims == 1 else nn.ConvTranspose2d if dims == 2 else nn.ConvTranspose3d
        options = {"output_padding": extra, "padding": padding}
    else:
        mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
        padding = draw(st.sampled_from(["same", "valid", "sizes"]))
        if padding == "same":
            stride = (1,) * dims
        elif padding == "sizes":
            padding = sizes(0, 2)
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        amount = reach if padding == "same" else [0] * dims if padding == "valid" else padding
        assume(all(n + 2 * a > r for n, a, r in zip(spatial, amount, reach, strict=True)) or padding == "same")
        assume(mode == "zeros" or all(n > a for n, a in zip(spatial, amount, strict=True)))
        assume(mode == "zeros" or batch > 0)
        layer = nn.Conv1d if dims == 1 else nn.Conv2d if dims == 2 else nn.Conv3d
        options = {"padding": padding, "padding_mode": mode}
    module = layer(inputs, outputs, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias, **options)
    return module, (batch, inputs, *spatial)


@st.composite
def integers(draw):
    """A random OPERAND choice."""
    return Integer(
        draw(st.integers(2, 8)),
        draw(st.integers(2, 8)),
        draw(st.sampled_from(["symmetric", "affine"])),
        draw(st.sampled_from(["symmetric", "affine"])),
        draw(st.sampled_from(["channel", "tensor"])),
        draw(st.sampled_from(["minmax", "mse"])),
    )


def check(ref, layer, shape, choice, circuit, *, signed_input=True):
    """Compare sums and output of the emulated layer with the loops over the definition."""
    sample = torch.randn(shape if shape[0] else (2, *shape[1:]))
    sample = sample if signed_input else sample.abs()
    x = sample[: shape[0]]
    emulated = ref.emulate(layer.eval(), sample, choice, circuit)
    codes = emulated.operand.input.codes(x)
    wanted = ref.sums(layer, emulated, codes)
    got = emulated.integer_sums(codes)
    assert got.shape == layer(x).shape == wanted.shape
    assert np.array_equal(got.to(torch.float64).numpy(), wanted)
    scale, _ = emulated.operand.weight.scale_and_zero(emulated.weight)
    axis = -1 if isinstance(layer, nn.Linear) else 1
    per_output = [1] * got.dim()
    per_output[axis] = -1
    outputs = got.shape[axis]
    factor = torch.from_numpy(np.resize((scale * emulated.operand.input.scale).numpy(), outputs)).reshape(per_output)
    output = torch.from_numpy(wanted).to(torch.float32) * factor
    if layer.bias is not None:
        output = output + layer.bias.detach().reshape(per_output)
    assert torch.equal(emulated(x), output)
    return emulated


@pytest.mark.slow
@settings(FEW, max_examples=400)
@given(case=layers(), choice=integers(), name=st.sampled_from(catalogue.names()), signed_input=st.booleans())
def test_any_layer_equals_its_definition(ref, case, choice, name, signed_input):
    check(ref, *case, choice, catalogue.get(name), signed_input=signed_input)


@pytest.mark.parametrize("name", catalogue.names())
def test_every_circuit_in_every_kind_of_layer(ref, name):
    @settings(FEW, max_examples=6)
    @given(case=layers(), choice=integers())
    def run(case, choice):
        check(ref, *case, choice, catalogue.get(name))

    run()


@pytest.mark.parametrize("name", ["mitchell6", "drum10_4", "dadda10", "bam9_4_2"])
def test_circuits_of_other_widths(ref, name):
    circuit = catalogue.get(name)
    bits = min(8, circuit.a_bits)
    torch.manual_seed(0)
    check(ref, nn.Conv2d(3, 4, 3, padding=1), (2, 3, 5, 5), Integer(bits - 1, bits), circuit)
    check(ref, nn.Linear(7, 3), (4, 7), Integer(bits, bits, "affine", "affine"), circuit)


def odd_table(seed, bits=8):
    """A table without any structure, wrong for zero operands too."""
    values = np.random.default_rng(seed).integers(0, 1 << 2 * bits, (1 << bits, 1 << bits))
    return Multiplier.from_table(values, a_signed=False, b_signed=False, name=f"odd{seed}")


@settings(FEW, max_examples=60)
@given(case=layers(), choice=integers(), seed=st.integers(0, 3), signed_input=st.booleans())
def test_tables_that_err_at_zero_operands(ref, case, choice, seed, signed_input):
    check(ref, *case, choice, odd_table(seed), signed_input=signed_input)


def test_zero_operands_keep_the_sign_of_the_other(ref):
    """The sign bit of zero is that of plus, in hardware: 0 x (-w) gives -T(0, w)."""
    table = np.zeros((256, 256), np.int64)
    table[0] = 5
    circuit = Multiplier.from_table(table, a_signed=False, b_signed=False, name="zero")
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.5], [-1.0, -0.5]]))
    emulated = ref.emulate(layer, torch.tensor([[1.0, 1.0]]), multiplier=circuit)
    assert emulated.integer_sums(torch.zeros(1, 2)).tolist() == [[10.0, -10.0]]


@pytest.mark.parametrize("weight_scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("input_scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("name", ["dadda8", "mitchell8", "drum8_3"])
@pytest.mark.parametrize("outputs", [1, 5])
def test_sums_beyond_float32_stay_exact(ref, weight_scheme, input_scheme, name, outputs):
    """Reductions whose sums pass 2 ** 24, where float32 would round to even numbers."""
    torch.manual_seed(1)
    layer = nn.Linear(3001, outputs)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.abs() * 0.2 + layer.weight.abs().max())
    sample = 1 + 0.3 * torch.rand(3, 3001)
    sample[0, 0] = -0.01
    emulated = ref.emulate(layer, sample, Integer(8, 8, weight_scheme, input_scheme), catalogue.get(name))
    codes = emulated.operand.input.codes(sample)
    codes[..., 1::2] = codes[..., 1::2] // 2 * 2 + 1
    wanted = ref.sums(layer, emulated, codes)
    assert np.abs(wanted).max() > 2**24
    assert np.array_equal(emulated.integer_sums(codes).to(torch.float64).numpy(), wanted)


def test_convolution_with_large_sums_stays_exact(ref):
    torch.manual_seed(2)
    layer = nn.Conv2d(64, 2, 5, padding=2)
    with torch.no_grad():
        layer.weight.abs_().add_(layer.weight.abs().max())
    x = 1 + torch.rand(1, 64, 5, 5)
    for choice in (Integer(8, 8), Integer(8, 8, "affine", "affine", "tensor")):
        emulated = ref.emulate(layer, x, choice, catalogue.get("roba8"))
        codes = emulated.operand.input.codes(x)
        wanted = ref.sums(layer, emulated, codes)
        assert np.abs(wanted).max() > 2**23
        assert np.array_equal(emulated.integer_sums(codes).to(torch.float64).numpy(), wanted)


def test_tables_with_huge_products_stay_exact(ref):
    """Products above 2 ** 24 that float32 cannot hold."""
    rng = np.random.default_rng(3)
    full = rng.integers(2**24, 2**26, (256, 256))
    low_rank = np.outer(rng.integers(2**12, 2**13, 256), rng.integers(2**13, 2**14, 256)) + 1
    torch.manual_seed(4)
    layer, x = nn.Linear(6, 5), torch.rand(3, 6)
    for table in (full, low_rank):
        circuit = Multiplier.from_table(table, a_signed=False, b_signed=False, name="huge")
        emulated = ref.emulate(layer, x, multiplier=circuit)
        codes = emulated.operand.input.codes(x)
        assert np.array_equal(emulated.integer_sums(codes).to(torch.float64).numpy(), ref.sums(layer, emulated, codes))


@pytest.mark.parametrize("name", ["dadda8", "mitchell8"])
@pytest.mark.parametrize("change", ["channels_last", "transposed", "strided", "expanded"])
def test_memory_layout_does_not_matter(ref, name, change):
    torch.manual_seed(5)
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    wide = torch.randn(2, 4, 12, 12)
    x = {
        "channels_last": wide.to(memory_format=torch.channels_last),
        "transposed": wide.transpose(2, 3),
        "strided": wide[:, :, ::2, 1::3],
        "expanded": wide[:1, :1].expand(3, 4, 12, 12),
    }[change]
    emulated = ref.emulate(layer, x, Integer(8, 8, "affine", "affine"), catalogue.get(name))
    codes = emulated.operand.input.codes(x)
    assert np.array_equal(emulated.integer_sums(codes).to(torch.float64).numpy(), ref.sums(layer, emulated, codes))
    assert torch.equal(emulated(x), emulated(x.contiguous()))


@pytest.mark.parametrize("name", ["dadda8", "mitchell8", "drum8_4"])
def test_samples_do_not_influence_each_other(ref, name):
    torch.manual_seed(6)
    layer, x = nn.Conv2d(3, 8, 3, padding=1), torch.randn(5, 3, 9, 9)
    emulated = ref.emulate(layer, x, Integer(5, 7), catalogue.get(name))
    assert torch.equal(emulated(x), torch.cat([emulated(x[i : i + 1]) for i in range(5)]))


def signed_table(kind):
    """A two's complement table of 4 x 4 bits, approximate by one everywhere."""
    values = np.arange(16)
    left = np.where(values < 8, values, values - 16) if kind[0] else values
    right = np.where(values < 8, values, values - 16) if kind[1] else values
    table = np.multiply.outer(left, right) + 1
    return Multiplier.from_table(table, a_signed=kind[0], b_signed=kind[1], name=f"plus{kind[0]}{kind[1]}")


@pytest.mark.parametrize(("left", "right"), [(True, True), (False, True), (True, False)])
def test_twos_complement_operands(ref, left, right):
    """A signed operand enters as it is; an unsigned one as magnitude with the sign outside."""
    torch.manual_seed(7)
    layer, x = nn.Linear(5, 3, bias=False), torch.randn(4, 5)
    emulated = ref.emulate(layer, x, Integer(4, 4), signed_table((left, right)))
    a = emulated.operand.input.codes(x)
    w, _, _ = emulated.stored_codes()
    one = torch.ones_like(a)[:, None] * torch.ones_like(w)[None]
    one = one if left else torch.where(a < 0, -1, 1)[:, None] * one
    one = one if right else torch.where(w < 0, -1, 1)[None] * one
    wanted = a @ w.T + one.sum(-1)
    assert torch.equal(emulated.integer_sums(a).float(), wanted)


def test_codes_that_do_not_fit_a_circuit_are_refused(ref):
    with pytest.raises(PlanError, match=r"8 x 8 bits do not fit multiplier 'mitchell6' \(6 x 6\); choose fewer bits"):
        ref.emulate(nn.Linear(3, 2), torch.rand(2, 3), multiplier=catalogue.get("mitchell6"))(torch.rand(2, 3))
    with pytest.raises(PlanError, match=r"activation codes 0..15 do not fit the 4-bit operand of 'plusTrueTrue'"):
        ref.emulate(nn.Linear(3, 2), torch.rand(2, 3), Integer(4, 4), signed_table((True, True)))
