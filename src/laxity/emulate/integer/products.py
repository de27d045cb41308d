"""From an emulated layer to a product step: weight codes, bias and requantisation in integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from laxity.circuits import Multiplier
from laxity.core.errors import PlanError
from laxity.core.parts import Code, MultiplierUse, Register, Window
from laxity.core.requantise import GREATEST_SUM, LEAST_SUM, Requantiser
from laxity.core.steps import Product
from laxity.emulate.integer.bounds import corrected, sum_bounds
from laxity.emulate.layer import EmulatedLayer
from laxity.kernels import Accumulator
from laxity.kernels.accumulators import AdderAccumulator, CurableAccumulator
from laxity.kernels.analysis import IntArray, reduce_table, signed_table
from laxity.techniques.data.codes import IntegerOperands, WeightCode
from laxity.techniques.hardware.arrangement import single

_SLACK, _BIAS_SLACK = 1 / 8, 1 / 256
"""How far a result may be off, in codes or as a fraction of the bias, where that asks for a coarser unit than the sums
have."""

_MOST_BIAS = 1 << 29
"""Greatest bias in such units: its product with a multiplier is far from 48 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What an emulated layer consists of, in integers and exact scales.

    Attributes:
        name: of the site.
        layer: the emulated layer.
        operand: its codes.
        multiplier: its circuit.
        weight: weight codes, int64.
        weight_zero: per output, int64.
        scales: value of one unit of a sum, per output, float64.
        shifts, product_shift, fraction_bits: as in `Product`.
        least, greatest: bounds on sums without bias, int64 (outputs,).
        correction: what the zero-point of the input adds to a sum, int64 (outputs,).
    """

    name: str
    layer: EmulatedLayer
    operand: IntegerOperands
    multiplier: Multiplier
    weight: IntArray
    weight_zero: IntArray
    scales: np.ndarray
    shifts: tuple[int, int]
    product_shift: int
    fraction_bits: int
    least: IntArray
    greatest: IntArray
    correction: IntArray


def read_layer(name: str, layer: EmulatedLayer, source: Code) -> Layer:
    """Everything about a layer but its bias and its result.

    Args:
        name: of the step, for messages.
        layer: with integer operands.
        source: code of its input.

    Raises:
        PlanError: the layer has no integer form.
    """
    operand, form = layer.operand, layer.form
    assert isinstance(operand, IntegerOperands)  # as `site_code` has checked
    coder = operand.weight
    assert isinstance(coder, WeightCode)  # layers with a weight have such codes
    circuit = operand.circuit(single(layer.multiplier, name, "integer-only networks and the accelerator"))
    if not isinstance(circuit, Multiplier):
        raise PlanError(
            f"site {name!r} multiplies by {circuit.name!r}, which has no table of its own; integer-only networks need "
            "a multiplier with a table, as those of up to 10 bits have"
        )
    if form.transposed or (not form.linear and form.padding_mode != "zeros" and any(map(any, form.padding))):
        what = "a transposed convolution" if form.transposed else f"padding mode {form.padding_mode!r}"
        raise PlanError(f"site {name!r} has {what}, which integer-only networks do not have")
    with torch.no_grad():
        used = layer.used_weight()
        scale, zero = coder.scale_and_zero(used)
        codes = coder.codes(used, scale, zero) if layer.forced_codes is None else layer.forced_codes
    weight = codes.cpu().numpy().astype(np.int64)
    outputs, reduction = len(weight), math.prod(weight.shape[1:])
    shifts = operand.shifts(circuit, name)
    inputs, right = (source.low, source.high), coder.code_range
    table, fraction = reduce_table(signed_table(circuit, inputs, right, shifts), sum(shifts))
    if int(abs(table).max()) > GREATEST_SUM:
        raise PlanError(
            f"products of site {name!r} reach {int(abs(table).max())}, and sums have 32 bits; use narrower codes"
        )
    zeros = np.resize(zero.cpu().numpy().astype(np.int64), outputs)
    bounds = sum_bounds(table, weight, right, register_of(layer.accumulator))
    least, greatest = corrected(bounds, zeros, inputs, reduction, fraction)
    per_output = weight.reshape(outputs, -1).sum(1)
    scales = np.resize(scale.cpu().numpy().astype(np.float64), outputs) * source.scale
    scales = scales * layer.gain.detach().cpu().numpy().astype(np.float64) * 2.0**-fraction
    correction = source.zero * (reduction * zeros - per_output) << fraction
    return Layer(
        name, layer, operand, circuit, weight, zeros, scales, shifts, sum(shifts) - fraction, fraction, least, greatest,
        correction,
    )  # fmt: skip


def register_of(accumulator: Accumulator | None) -> Register | None:
    """The description of an accumulator.

    Raises:
        PlanError: it is of an unknown kind.
    """
    if accumulator is None:
        return None
    if isinstance(accumulator, AdderAccumulator):
        adder = accumulator.adder
        return Register(adder.bits, adder.name, adder.key, adder.exact, accumulator.overflow, accumulator.chain)
    if isinstance(accumulator, CurableAccumulator):
        name = f"ripple{accumulator.bits}"
        return Register(accumulator.bits, name, chain=accumulator.chain, cuts=accumulator.cuts)
    raise PlanError(f"accumulator {accumulator!r} is of no kind that integer-only networks know")


def use_of(multiplier: Multiplier) -> MultiplierUse:
    """The description of a multiplier."""
    m = multiplier
    return MultiplierUse(m.name, m.a_bits, m.b_bits, m.a_signed, m.b_signed, m.table_sha256)


def units(layer: Layer) -> tuple[IntArray, np.ndarray]:
    """The bias in units of the sums, int64 (outputs,), and what these units are worth, float64 (outputs,).

    A bias that does not fit 32 bits in the units of its sums, because the weights of that output are tiny, gets the
    finest unit in which it fits.

    Raises:
        PlanError: a sum with its bias does not fit 32 bits; names the site.
    """
    given = layer.layer.bias
    bias = np.zeros(len(layer.scales)) if given is None else given.detach().cpu().numpy().astype(np.float64)
    if not (np.isfinite(bias).all() and np.isfinite(layer.scales).all() and (layer.scales > 0).all()):
        raise PlanError(
            f"site {layer.name!r} has a bias, gain or scale that is not finite, or a gain that is not positive"
        )
    room = GREATEST_SUM - 1 - np.maximum(np.abs(layer.least), np.abs(layer.greatest)) - np.abs(layer.correction)
    if (room <= 0).any():
        worst = int(np.argmin(room))
        raise PlanError(
            f"sums of site {layer.name!r} may reach {max(-int(layer.least[worst]), int(layer.greatest[worst])):.4g} "
            f"(output {worst}) before the bias, and have 32 bits; use narrower codes or a shorter reduction"
        )
    fits = np.abs(bias) / layer.scales <= room
    scales = np.where(fits, layer.scales, np.abs(bias) / np.minimum(room, _MOST_BIAS))
    return np.rint(bias / scales).astype(np.int64) + layer.correction, scales


def product_step(
    layer: Layer,
    bias: IntArray,
    scales: np.ndarray,
    source: str,
    shape: tuple[int, ...],
    code: Code,
    limits: tuple[int, int],
) -> Product:
    """The step that computes a layer.

    Args:
        layer: what it consists of.
        bias: from `units`, as are `scales`.
        scales: value of one unit of every sum.
        source: the step it reads.
        shape: of its result, without the batch.
        code: of its result.
        limits: least and greatest code after clamping.

    Raises:
        PlanError: sums or their products with a multiplier may overflow, or a scale is out of range; names the site.
    """
    requantiser, least, greatest = _requantiser(layer, bias, scales, code, limits)
    form, coder = layer.layer.form, layer.operand.weight
    low, high = coder.code_range
    before, after = (tuple(p[i] for p in form.padding) for i in (0, 1))
    stored = [v.astype(np.int32) for v in (layer.weight, layer.weight_zero, bias, least, greatest)]
    for array in stored:
        array.flags.writeable = False
    return Product(
        name=layer.name,
        inputs=(source,),
        shape=shape,
        code=code,
        site=layer.layer.site.name,
        operation="linear" if form.linear else f"conv{len(form.kernel)}d",
        window=Window(form.kernel, form.stride, form.dilation, before, after),
        groups=form.groups,
        weight=stored[0],
        weight_low=low,
        weight_high=high,
        weight_zero=stored[1],
        bias=stored[2],
        multiplier=layer.multiplier.name,
        shifts=layer.shifts,
        product_shift=layer.product_shift,
        register=register_of(layer.layer.accumulator),
        requantiser=requantiser,
        least_sums=stored[3],
        greatest_sums=stored[4],
    )


def _requantiser(
    layer: Layer, bias: IntArray, scales: np.ndarray, code: Code, limits: tuple[int, int]
) -> tuple[Requantiser, IntArray, IntArray]:
    """The requantisation of a layer, with the least and greatest sum of every output."""
    least, greatest = layer.least + bias, layer.greatest + bias
    if (least < LEAST_SUM).any() or (greatest > GREATEST_SUM).any():
        raise PlanError(f"sums of site {layer.name!r} with their bias may leave 32 bits; use narrower codes")
    error = np.maximum(-layer.least, layer.greatest) * (scales - layer.scales)
    allowed = np.maximum(_SLACK * code.scale, _BIAS_SLACK * np.abs((bias - layer.correction) * scales))
    if (error > allowed).any():
        raise PlanError(
            f"the bias of site {layer.name!r}, output {int(np.argmax(error - allowed))}, does not fit 32 bits in units "
            "of sums whose weights still matter; use wider weight codes or a coarser code of its result"
        )
    try:
        requantiser = Requantiser.from_scale((scales / code.scale).tolist(), code.zero, *limits)
    except PlanError as error:
        raise PlanError(f"site {layer.name!r}: {error}") from error
    channel = requantiser.overflows(zip(least.tolist(), greatest.tolist(), strict=True))
    if channel is not None:
        raise PlanError(
            f"site {layer.name!r}, output {channel}: a sum of up to {int(greatest[channel])} times the multiplier "
            f"{requantiser.multipliers[channel]} may leave 48 bits; use narrower codes"
        )
    return requantiser, least, greatest


def prove_bounds(step: Product, source: Code, multiplier: Multiplier) -> None:
    """Raise unless all sums of a step lie between the bounds that it states.

    Raises:
        PlanError: they may not; names the step.
    """
    inputs, right = (source.low, source.high), (step.weight_low, step.weight_high)
    table, fraction = reduce_table(signed_table(multiplier, inputs, right, step.shifts), sum(step.shifts))
    if fraction != step.fraction_bits:
        raise PlanError(f"step {step.name!r} drops {step.product_shift} bits of its products, which are not all 0")
    zeros, bias = step.weight_zero.astype(np.int64), step.bias.astype(np.int64)
    bounds = sum_bounds(table, step.weight.astype(np.int64), right, step.register)
    least, greatest = corrected(bounds, zeros, inputs, step.reduction, fraction)
    if (least + bias < step.least_sums).any() or (greatest + bias > step.greatest_sums).any():
        raise PlanError(f"sums of step {step.name!r} may leave the bounds that the program states; make it again")
