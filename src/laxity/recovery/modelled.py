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
from laxity.recovery.correction import Corrected, Line, straight
from laxity.recovery.elements import errors_of_sums
from laxity.recovery.observation import Observation, SiteObservation
from laxity.recovery.observe import PATCHES, coded, exact_products, observe
from laxity.recovery.regression import ErrorModel, fit
from laxity.techniques.data.codes import IntegerOperands, WeightCode
from laxity.techniques.hardware.arrangement import Circuits


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
        observed: what `observe` found; or batches of inputs to observe now, with the multipliers in place, so that
            models fit operands as they are behind errors: a network that was trained with a multiplier is another one
            without it.
        seed: root seed, where inputs are observed now.
        patches: outputs to draw per site, likewise.
        per_kernel: one model per kernel instead of one per site.

    Raises:
        DataError, PlanError: as `observe` and `errors_of_sums`.
    """
    if not isinstance(observed, Observation):
        observed = observe(model, observed, seed=seed, patches=patches, approximate=True)
    sites = {layer.site.name: layer.multiplier for layer in coded(model)}
    return {name: _fitted(observed.sites[name], multiplier, per_kernel) for name, multiplier in sites.items()}


def _fitted(seen: SiteObservation, multiplier: Circuits | None, per_kernel: bool) -> ErrorModel:
    return fit(errors_of_sums(seen, multiplier), seen, per_kernel=per_kernel)


class Modelled:
    """A network that computes by error models, for as long as the context `modelled` lasts.

    Attributes:
        model: the network.
        models: the error model of each site.
    """

    def __init__(
        self, model: nn.Module, multipliers: Mapping[str, Circuits | None], hooks: Mapping[str, _Error]
    ) -> None:
        self.model = model
        self._multipliers, self._hooks = multipliers, hooks

    @property
    def models(self) -> dict[str, ErrorModel]:
        """By site."""
        return {name: hook.errors for name, hook in self._hooks.items()}

    def refit(self, inputs: Sequence[Tensor], *, seed: int = 0, patches: int = PATCHES) -> None:
        """Fit the models anew, to the present weights and to operands as they are behind modelled errors.

        Args:
            inputs: batches of calibration inputs.
            seed: root seed.
            patches: outputs to draw per site.

        Raises:
            DataError, PlanError: as `observe`.
        """
        observed = observe(self.model, inputs, seed=seed, patches=patches)
        for name, hook in self._hooks.items():
            hook.errors = _fitted(observed.sites[name], self._multipliers[name], len(hook.errors.slope) > 1)


@contextmanager
def modelled(
    model: nn.Module, models: Mapping[str, ErrorModel], *, noise_seed: int | None = None, clips: bool = True
) -> Iterator[Modelled]:
    """Let sites compute exact sums plus their modelled error, instead of sums of the multiplier's products.

    ``y + f(y) + eta`` forward, with y the exact sum; backward the straight-through gradients of the operands times
    ``1 + f'(y)``, which is 1 + slope where the model is not clipped and 1 where it is. Weights may be trained inside;
    the multipliers are back when the context ends. Inside, the model can neither be copied, saved whole, traced nor
    compiled: it is not the model that the plan describes.

    Args:
        model: emulated and calibrated.
        models: by site; sites that are left out keep their multiplier.
        noise_seed: root seed of eta, which is drawn anew in every call; None leaves it out.
        clips: False takes straight lines for the models, which is faster and the same for sums as they were observed.

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
    chosen = {name: layers[name] for name in models}
    multipliers = {name: layer.multiplier for name, layer in chosen.items()}
    hooks = {name: _Error(layer, models[name], noise_seed, clips) for name, layer in chosen.items()}
    with exact_products(list(chosen.values())), ExitStack() as stack:
        for name, hook in hooks.items():
            stack.callback(chosen[name].register_forward_hook(hook).remove)
        yield Modelled(model, multipliers, hooks)


class _Error:
    """Forward hook that adds the modelled error to an exact output.

    Attributes:
        errors: the model.
    """

    def __init__(self, layer: Slots, errors: ErrorModel, noise_seed: int | None, clips: bool) -> None:
        kernels = len(layer.gain) if isinstance(layer, EmulatedLayer) else 1
        if len(errors.slope) not in {1, kernels}:
            raise PlanError(
                f"the error model of site {errors.site!r} is for {len(errors.slope)} kernels, the site has {kernels}; "
                "fit it to this network"
            )
        self.errors, self._clips = errors, clips
        self._generator: torch.Generator | None = None
        if noise_seed is not None:
            self._generator = torch.Generator().manual_seed(derive(noise_seed, "modelled", errors.site))

    def __call__(self, layer: Slots, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            raise PlanError(
                f"site {self.errors.site!r} computes by its error model, which cannot be compiled or exported; leave "
                "the context 'modelled' first"
            )
        refuse_tracing(output, self.errors.site)
        axis, bias = -1, None
        if isinstance(layer, EmulatedLayer):
            axis, bias = -1 - (0 if layer.form.linear else len(layer.form.kernel)), layer.bias
        line = _line(self.errors, _unit(layer), bias, noisy=self._generator is not None)
        if not self._clips:
            return straight(output, bias, line, axis, self._generator)
        found: Tensor = Corrected.apply(output, bias, line, axis, self._generator)
        return found

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise PlanError(
            f"site {self.errors.site!r} computes by its error model and cannot be copied or saved; leave the context "
            "'modelled' first"
        )


@torch.no_grad()
def _line(errors: ErrorModel, unit: Tensor, bias: Tensor | None, *, noisy: bool) -> Line:
    """The model in the units of an output, which has a bias."""
    parts = (errors.slope, errors.offset, errors.low, errors.high, errors.residual_std)
    slope, offset, low, high, spread = (part.to(unit.device) for part in parts)
    shift = offset * unit if bias is None else offset * unit - slope * bias
    return Line(slope, shift, low * unit, high * unit, spread * unit if noisy else None)


@torch.no_grad()
def _unit(layer: Slots) -> Tensor:
    """What one unit of a sum of codes is at the output, float32 (kernels,) or (1,)."""
    operand = layer.operand
    assert isinstance(operand, IntegerOperands)  # it has an error model
    if not isinstance(layer, EmulatedLayer):
        return (operand.input.scale * operand.weight.scale).reshape(1)  # type: ignore[operator]
    assert isinstance(operand.weight, WeightCode)  # of a layer
    return operand.weight.scale_and_zero(layer.used_weight())[0] * operand.input.scale * layer.gain
