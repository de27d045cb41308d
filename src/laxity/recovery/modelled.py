"""Forward and backward passes through the error model in place of the multiplier's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from laxity.core.errors import PlanError
from laxity.core.seeds import derive
from laxity.emulate.accept import refuse_tracing
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.slots import Slots
from laxity.recovery.elements import ElementErrors
from laxity.recovery.observation import Observation
from laxity.recovery.observe import PATCHES, coded, exact_products, observe
from laxity.recovery.regression import ErrorModel, fit
from laxity.techniques.data.codes import IntegerOperands, WeightCode


def error_models(
    model: nn.Module,
    observed: Observation | Sequence[Tensor],
    *,
    seed: int = 0,
    patches: int = PATCHES,
    per_kernel: bool = False,
) -> dict[str, ErrorModel]:
    """Fit the error model of every site to the multiplier that it has.

    Args:
        model: emulated and calibrated.
        observed: what `observe` found, or batches of inputs to observe now.
        seed: root seed, where inputs are observed now.
        patches: outputs to draw per site, likewise.
        per_kernel: one model per kernel instead of one per site.

    Raises:
        DataError, PlanError: as `observe` and `ElementErrors.of`.
    """
    if not isinstance(observed, Observation):
        observed = observe(model, observed, seed=seed, patches=patches)
    found = {}
    for layer in coded(model):
        seen, name = observed.sites[layer.site.name], layer.site.name
        errors = ElementErrors.of(seen.operand, layer.multiplier, name)
        found[name] = fit(errors.sums(seen), seen, per_kernel=per_kernel)
    return found


@contextmanager
def modelled(model: nn.Module, models: Mapping[str, ErrorModel], *, noise_seed: int | None = None) -> Iterator[None]:
    """Let sites compute exact sums plus their modelled error, instead of sums of the multiplier's products.

    ``y + f(y) + eta`` forward, with y the exact sum; backward the straight-through gradients of the operands times
    ``1 + f'(y)``, which is 1 + slope where the model is not clipped and 1 where it is. Weights may be trained inside;
    the multipliers are back when the context ends. Inside, the model can neither be copied, saved whole, traced nor
    compiled: it is not the model that the plan describes.

    Args:
        model: emulated and calibrated.
        models: by site; sites that are left out keep their multiplier.
        noise_seed: root seed of eta, which is drawn anew in every call; None leaves it out.

    Raises:
        PlanError: a model is for a site that is not there, or has another number of kernels.

    Source: gradient of the error model as in C. De la Parra, X. Wu, A. Guntoro, A. Kumar, "Knowledge distillation and
    gradient estimation for active error compensation in approximate neural networks", DATE 2021, reconstructed from
    the abstract.
    """
    layers = {layer.site.name: layer for layer in coded(model)}
    for name in models:
        if name not in layers:
            raise PlanError(f"there is an error model for {name!r}, which is no site with codes of this network")
    chosen = [layers[name] for name in models]
    with exact_products(chosen), ExitStack() as stack:
        for layer, errors in zip(chosen, models.values(), strict=True):
            hook = _Error(layer, errors, noise_seed)
            stack.callback(layer.register_forward_hook(hook).remove)
        yield


class _Error:
    """Forward hook that adds the modelled error to an exact output."""

    def __init__(self, layer: Slots, errors: ErrorModel, noise_seed: int | None) -> None:
        kernels = len(layer.gain) if isinstance(layer, EmulatedLayer) else 1
        if len(errors.slope) not in {1, kernels}:
            raise PlanError(
                f"the error model of site {errors.site!r} is for {len(errors.slope)} kernels, the site has {kernels}; "
                "fit it to this network"
            )
        self._errors = errors
        self._generator: torch.Generator | None = None
        if noise_seed is not None:
            self._generator = torch.Generator().manual_seed(derive(noise_seed, "modelled", errors.site))

    def __call__(self, layer: Slots, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            raise PlanError(
                f"site {self._errors.site!r} computes by its error model, which cannot be compiled or exported; leave "
                "the context 'modelled' first"
            )
        refuse_tracing(output, self._errors.site)
        tail, y, unit = 0, output, _unit(layer)
        if isinstance(layer, EmulatedLayer):
            tail = 0 if layer.form.linear else len(layer.form.kernel)
            y = output if layer.bias is None else output - _spread(layer.bias, tail)
        model = self._errors
        low, high, offset = (_spread(v * unit, tail) for v in (model.low, model.high, model.offset))
        found = output + torch.clamp(y * _spread(model.slope, tail) + offset, low, high)
        if self._generator is None:
            return found
        noise = torch.randn(output.shape, generator=self._generator).to(output.device)
        return found + noise * _spread(model.residual_std * unit, tail)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise PlanError(
            f"site {self._errors.site!r} computes by its error model and cannot be copied or saved; leave the context "
            "'modelled' first"
        )


@torch.no_grad()
def _unit(layer: Slots) -> Tensor:
    """What one unit of a sum of codes is at the output, float32 (kernels,) or (1,)."""
    operand = layer.operand
    assert isinstance(operand, IntegerOperands)  # it has an error model
    if not isinstance(layer, EmulatedLayer):
        return (operand.input.scale * operand.weight.scale).reshape(1)  # type: ignore[operator]
    assert isinstance(operand.weight, WeightCode)  # of a layer
    return operand.weight.scale_and_zero(layer.used_weight())[0] * operand.input.scale * layer.gain


def _spread(values: Tensor, tail: int) -> Tensor:
    """Values per kernel so that they broadcast over outputs with so many spatial dimensions."""
    return values if values.numel() == 1 else values.reshape(-1, *([1] * tail))
