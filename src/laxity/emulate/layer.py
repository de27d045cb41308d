"""An emulated weight layer: a convolution of any kind, or a linear layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.emulate.accept import Accepted, check_weight, refuse_tracing, vector
from laxity.emulate.form import Form, per_output, window_sums
from laxity.emulate.slots import Slots
from laxity.emulate.steady import Bound, Prepared, steady_call, watched
from laxity.emulate.straight import StraightCodes, StraightLayer, unfelt
from laxity.kernels import (
    FusedProducts,
    Products,
    Scaling,
    WeightOperand,
    opaque,
    overlap_add,
)
from laxity.kernels.call import Layer, observed
from laxity.kernels.represent import represent
from laxity.techniques.context import KEPT
from laxity.techniques.data.operands import Operands, WeightCoder


class EmulatedLayer(Slots):
    """Replaces a convolution (any dimension, transposed too) or a linear layer.

    In evaluation the output is exactly what the integer hardware computes: sums of circuit products, corrected for
    zero-points by exact sums, scaled once per output channel. While gradients are wanted, the same values carry the
    gradients of the native operation on the represented operands (straight-through estimator).

    What is derived from the weight is kept until the weight changes, which is noticed by its content: edits through
    ``weight.data``, which torch does not count, are seen too.

    Attributes:
        weight: float32, in the layout of the replaced layer; the layer's own parameter, which others may share.
        bias: float32 (outputs,) or None.
        form: what the layer is shaped like.
        gain: float32 (outputs,), correction of the output scale found by re-estimation; 1 otherwise.
        forced_codes: weight codes to use instead of those of the weight (faults in memory), or None.
    """

    gain: Tensor

    def __init__(self, site: Site, layer: nn.Module) -> None:
        super().__init__(site)
        for name in getattr(layer, "__constants__", ()):  # sizes that forward methods ask for
            setattr(self, name, getattr(layer, name))
        bias = layer.bias
        self.weight = own(layer.weight)  # type: ignore[arg-type]
        self.bias = None if bias is None else own(bias)  # type: ignore[arg-type]
        check_weight(self.weight, site.name)
        self.form = Form.of(layer)
        self.channel_axis = 1 if self.form.transposed else 0
        outputs = self.weight.shape[1] * self.form.groups if self.form.transposed else self.weight.shape[0]
        self.register_buffer("gain", torch.ones(outputs))
        self.forced_codes: Tensor | None = None
        self._given: Tensor | None = None
        self._cached: tuple[Products, Tensor, WeightOperand] | None = None
        self._prepared: Prepared | None = None
        self._takes: tuple[torch.Size, Accepted] | None = None

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return len(self.gain)

    def used_weight(self) -> Tensor:
        """The weight after the STRUCTURE slot, same shape as `weight`."""
        weight = self.weight if self._given is None else self._given
        return weight if self.structure is None else self.structure(weight)

    @contextmanager
    def given(self, weight: Tensor) -> Iterator[None]:
        """Use the weight that a functional call brings, which may have been computed for this call."""
        self._given = None if weight is self.weight else weight
        try:
            yield
        finally:
            self._given = None

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:  # noqa: A002 (as in torch)
        """Compute the operation on float32 `input` (batch, ...).

        Args:
            input: of the replaced layer.
            output_size: only for transposed convolutions, as in torch.

        Raises:
            DataError: `input` has another dtype, shape or device than the layer takes, or holds NaN or infinite values,
                or no output has this size.
            PlanError: something is done with the layer that emulation does not have: forward-mode differentiation, or
                tracing by `torch.jit`.
        """
        x = input
        refuse_tracing(x, self.site.name)
        form = self.form.for_output(x, output_size, self.site.name)
        if self.observers is not None:
            self.observers[0].update(x)
        if self.operand is None or self.observers is not None:
            return self._guarded(self._finish(form.native(x, self.used_weight())))
        self._accepted().check(x, self.weight.device)
        if x.dim() == len(form.kernel) + 1 and not form.linear:
            return self._guarded(self._emulate(x[None], self.operand, form)[0])
        return self._guarded(self._emulate(x, self.operand, form))

    def unguarded(self, x: Tensor) -> Tensor:
        """What the layer gives in floating point for inputs (batch, ...), before anything looks after it."""
        return self._finish(self.form.native(x, self.used_weight()))

    def _guarded(self, outputs: Tensor) -> Tensor:
        return outputs if self.guard is None else self.guard(outputs)

    def steady(self) -> Callable[[Tensor], Tensor]:
        """What to call instead of the layer in one forward pass, for which it looks at its weights once, now."""
        busy = torch.compiler.is_compiling() or self.observers is not None or self.taken is not None or watched(self)
        busy = busy or self.guard is not None
        if busy or self.operand is None or not self.form.linear or not self.weight.is_cpu:
            return self
        with torch.no_grad():
            bound = self._bound(self.operand)
        return self if bound is None else steady_call(self, bound, self.weight.shape[1])

    def _accepted(self) -> Accepted:
        known = self._takes
        if known is not None and known[0] == self.weight.shape:
            return known[1]
        accepted = Accepted.of(self.site.name, self.form, self.weight)
        if not observed() and isinstance(self.weight, Tensor):  # a traced model shall have no side effects
            self._takes = self.weight.shape, accepted
        return accepted

    def _emulate(self, x: Tensor, operand: Operands, form: Form) -> Tensor:
        with unfelt():
            bound = self._bound(operand) if x.device.type == "cpu" and not form.transposed else None
            found = self._separate(x, operand, form) if bound is None else self._fused(x, bound.call, form)
            exact = found.detach()
        if not (torch.is_grad_enabled() and (x.requires_grad or self.trains())):
            return exact
        coder = operand.weight
        top = coder.greatest if isinstance(coder, WeightCoder) and self.forced_codes is None else None
        if bound is None or top is None or self.gradient is not None:
            smooth = self.smooth_weight(None if bound is None else bound.scale)
            return self.with_gradients(exact, x, smooth, form)
        even, operation = form.backward(x)
        result: Tensor = StraightCodes.apply(
            exact, even, self.used_weight(), self.gain, self.bias, bound.quantiser, bound.scale, top, operation
        )
        return result

    def trains(self) -> bool:
        """Whether weight or bias want gradients."""
        return self.weight.requires_grad or (self.bias is not None and self.bias.requires_grad)

    def _fused(self, x: Tensor, call: Layer, form: Form) -> Tensor:
        """Quantise, multiply, add and scale in one pass."""
        if self.taken is not None:
            assert self.operand is not None  # the caller has one
            self.taken.append(self.operand.input.codes(x))
        if form.linear:
            rows = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
            y = call(rows)
            return y if x.dim() == 2 else y.reshape(*x.shape[:-1], y.shape[1])
        return call(x if form.padding_mode == "zeros" else form.pad(x, 0.0))

    def _bound(self, operand: Operands) -> Bound | None:
        """The layer in one pass with its present weights, or None where it has to be computed step by step."""
        if observed():
            return self._bind(operand)
        parts, sources = self._made_from(operand)
        if self._prepared is not None and self._prepared.made_from(parts, sources):
            return self._prepared.bound
        with torch.inference_mode(False), torch.no_grad():  # what is kept may be wanted for training later
            bound = self._bind(operand)
        self._prepared = None if bound is None else Prepared.of(bound, parts, sources)
        return bound

    def _made_from(self, operand: Operands) -> tuple[tuple[object, ...], tuple[Tensor, ...]]:
        """Everything that a call depends on: objects, and tensors whose contents matter."""
        weight = self._parameters["weight"] if self._given is None else self._given
        structure = self._modules.get("structure")
        parts = (operand, self.multiplier, self.accumulator, structure)
        sources = [weight, *operand.input._buffers.values(), *operand.weight._buffers.values(), self.forced_codes]
        sources += [self.gain, self._parameters.get("bias")]  # the kernel reads these where they lie
        if structure is not None:
            sources += [*structure.parameters(), *structure.buffers()]
        return parts, tuple(t for t in sources if t is not None)

    def _bind(self, operand: Operands) -> Bound | None:
        kernel, unshift = self.products()
        coder, quantiser = operand.weight, operand.input.quantiser()
        if not (isinstance(kernel, FusedProducts) and isinstance(coder, WeightCoder) and coder.symmetric):
            return None
        if quantiser is None:
            return None
        rows, scale = self._rows(coder, kernel)
        matrix = self.form.as_convolution(rows)
        out_scale = (scale * operand.input.scale * unshift).expand(len(matrix)).contiguous()
        ready = kernel.ready(matrix, self.form.groups, round(-operand.input.zeros[0] / unshift))
        outputs, name = len(matrix), self.site.name
        bias = None if self.bias is None else vector(self.bias, outputs, "bias", name)
        scaling = Scaling(out_scale, vector(self.gain, outputs, "gain", name), bias)
        zeros = operand.input.zeros
        call = kernel.bind(quantiser, ready, self.form.values_geometry, scaling, self.site.name, zeros)
        return Bound(call, scale, quantiser)

    def _rows(self, coder: WeightCoder, kernel: FusedProducts) -> tuple[Tensor, Tensor]:
        """Weight codes less the least one, uint8, and scales."""
        weight = self.used_weight()
        found = coder.rows(weight) if self.forced_codes is None else None
        if found is not None:
            return found
        check_weight(weight, self.site.name)
        scale, zero = coder.scale_and_zero(weight)
        codes = coder.codes(weight, scale, zero) if self.forced_codes is None else self.forced_codes
        return kernel.rows(codes), scale

    def _separate(self, x: Tensor, operand: Operands, form: Form) -> Tensor:
        """Codes, sums and scaling one after the other, for every format, kernel and device."""
        coder = operand.weight
        assert isinstance(coder, WeightCoder)
        codes = operand.input.codes(opaque.finite(x, self.site.name))
        if self.taken is not None:
            self.taken.append(codes)
        weight = self.used_weight()
        check_weight(weight, self.site.name)
        scale, zero = coder.scale_and_zero(weight)
        weight_codes = coder.codes(weight, scale, zero) if self.forced_codes is None else self.forced_codes
        sums = self._integer(codes, weight_codes, zero, operand, form)
        return self._scaled(sums, scale)

    def smooth_weight(self, scale: Tensor | None = None) -> Tensor:
        """What the weight codes stand for, with gradients for the weight; `scale` where it is known already."""
        assert self.operand is not None and isinstance(self.operand.weight, WeightCoder)  # noqa: PT018 (it has codes)
        coder, weight = self.operand.weight, self.used_weight()
        if self.forced_codes is None:
            return coder.smooth(weight, scale)
        return coder.represent(weight, self.forced_codes, *coder.scale_and_zero(weight))

    def with_gradients(self, exact: Tensor, x: Tensor, smooth_weight: Tensor, form: Form | None = None) -> Tensor:
        """The exact values with the gradients of the native operation on what the codes stand for, or of `gradient`."""
        assert self.operand is not None  # the caller has one
        coder, quantiser = self.operand.input, self.operand.input.quantiser()
        if quantiser is not None and x.dtype == torch.float32:
            smooth_x = represent(x, quantiser)
        else:
            smooth_x = coder.represent(x, coder.codes(x))
        smooth_x, operation = (form or self.form).backward(smooth_x)
        if self.gradient is not None and self.multiplier is not None:
            return self.gradient(self, exact, smooth_x, smooth_weight, operation)
        result: Tensor = StraightLayer.apply(exact, smooth_x, smooth_weight, self.gain, self.bias, operation)
        return result

    def stored_codes(self) -> tuple[Tensor, int, bool]:
        """Weight codes in the weight's shape, float32, the width of their words in memory, and signedness of these.

        Raises:
            PlanError: the site stores floating point.
        """
        if self.operand is None or not isinstance(self.operand.weight, WeightCoder):
            raise PlanError(f"site {self.site.name!r} stores no integer weights; give it an OPERAND choice")
        coder, weight = self.operand.weight, self.used_weight()
        return coder.codes(weight, *coder.scale_and_zero(weight)), coder.bits, coder.stored_signed

    def integer_sums(self, codes: Tensor, weight_codes: Tensor | None = None) -> Tensor:
        """Accumulator contents for input codes in units of (input code) x (weight code), zero-points corrected.

        Other weight codes may be given than those of the stored weight, in its shape. Exact whole numbers in floating
        point, or exact binary fractions where the circuit resolves narrow codes finer.

        Raises:
            PlanError: the site computes in floating point.
        """
        stored, _, _ = self.stored_codes()
        assert self.operand is not None  # stored_codes has checked
        assert isinstance(self.operand.weight, WeightCoder)
        _, zero = self.operand.weight.scale_and_zero(self.used_weight())
        with torch.no_grad():
            used = stored if weight_codes is None else weight_codes
            return self._integer(codes, used, zero, self.operand, self.form)

    def _integer(
        self, codes: Tensor, weight_codes: Tensor, weight_zero: Tensor, operand: Operands, form: Form
    ) -> Tensor:
        """Sum of (a - za)(w - zw) with circuit products for a w and exact sums for the cross terms.

        Cross terms are added in float64: they may exceed what float32 holds exactly where the products do not.
        """
        input_zero = float(operand.input.zeros[0])
        kernel, unshift = self.products()
        matrix = form.as_convolution(weight_codes)
        padded = form.pad(codes, input_zero)
        if torch.compiler.is_compiling():
            sums = opaque.convolve(padded, matrix, form.codes_geometry, self.kernel_number)
        else:
            sums = kernel.convolve(padded, self._weight_operand(kernel, matrix), form.codes_geometry)
        if unshift != 1.0:
            sums = sums * unshift
        column = (-1, *([1] * (sums.dim() - 2)))
        if input_zero:
            per_output = matrix.flatten(1).sum(1, dtype=torch.float64)
            sums = sums - (input_zero * per_output).reshape(column)
        if isinstance(operand.weight, WeightCoder) and not operand.weight.symmetric:
            zero = self._expand(weight_zero).to(torch.float64)
            zero = zero.repeat_interleave(len(matrix) // len(zero)) if form.transposed else zero
            inputs = window_sums(padded, matrix, form.codes_geometry) - input_zero * math.prod(matrix.shape[1:])
            sums = sums - inputs * zero.reshape(column)
        return self._join(sums, codes, form)

    @staticmethod
    def _join(sums: Tensor, codes: Tensor, form: Form) -> Tensor:
        """From sums of the plain convolution to the layout of the layer's output."""
        if form.linear:
            return sums.reshape(*codes.shape[:-1], sums.shape[1])
        if not form.transposed:  # models may view what a plain layer gives in the usual layout
            return sums.contiguous() if codes.is_contiguous() else sums
        padding = tuple(before for before, _ in form.padding)
        return overlap_add(
            sums.to(torch.float64), form.kernel, form.stride, padding, form.output_padding, form.dilation
        )

    def _weight_operand(self, kernel: Products, matrix: Tensor) -> WeightOperand:
        """Weight operand of the kernel, kept while neither kernel nor codes change."""
        cached = self._cached
        if cached is not None and cached[0] is kernel and _same(cached[1], matrix):
            return cached[2]
        prepared = kernel.prepare(matrix)
        self._cached = None if self.weight.requires_grad else (kernel, matrix.clone(), prepared)
        return prepared

    def scaled(self, sums: Tensor) -> Tensor:
        """What the layer gives for accumulator contents, those of `integer_sums` or others: float32, same shape.

        Raises:
            PlanError: the site computes in floating point.
        """
        self.stored_codes()
        assert self.operand is not None  # stored_codes has checked
        assert isinstance(self.operand.weight, WeightCoder)
        with torch.no_grad():
            return self._guarded(self._scaled(sums, self.operand.weight.scale_and_zero(self.used_weight())[0]))

    def _scaled(self, sums: Tensor, weight_scale: Tensor) -> Tensor:
        assert self.operand is not None  # the callers have one
        out_scale = self._expand(weight_scale * self.operand.input.scale)
        return self._finish(sums.to(torch.float32) * per_output(out_scale, self.form.linear, sums.dim()))

    def _finish(self, values: Tensor) -> Tensor:
        """Apply the output correction and the bias."""
        out = values * per_output(self.gain, self.form.linear, values.dim())
        return out if self.bias is None else out + per_output(self.bias, self.form.linear, values.dim())

    def _expand(self, values: Tensor) -> Tensor:
        """Scales or zero-points of the weight's channel axis as one per output; groups of a transposed layer share."""
        shared = self.form.transposed and values.numel() > 1
        return values.repeat(self.form.groups) if shared else values

    def facts(self) -> dict[str, float]:
        """Figures that demands need: stored weights whose value is not zero, and output channels that pruning left."""
        weight, kept = self.used_weight(), {f"{KEPT}{channel}": 1.0 for channel in self.kept or ()}
        if self.operand is None or not isinstance(self.operand.weight, WeightCoder):
            return {"weight_nonzeros": float(torch.count_nonzero(weight)), **kept}
        coder = self.operand.weight
        scale, zero = coder.scale_and_zero(weight)
        value = coder.represent(weight, coder.codes(weight, scale, zero), scale, zero)
        return {"weight_nonzeros": float(torch.count_nonzero(value)), **kept}

    def __getstate__(self) -> dict[str, Any]:
        """Leave caches out of copies and pickles."""
        return {**super().__getstate__(), "_cached": None, "_prepared": None}


def own(values: Tensor) -> nn.Parameter:
    """A parameter as it is, so that layers that share it still do; anything else as a parameter of its own."""
    return values if isinstance(values, nn.Parameter) else nn.Parameter(values.detach().clone())


def _same(left: Tensor, right: Tensor) -> bool:
    return left.device == right.device and left.shape == right.shape and torch.equal(left, right)
