"""The measurement of one case."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from laxity.core.seeds import stream
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.slots import Slots
from laxity.kernels import native
from speed.cases import Case, Row
from speed.gather import GatherLoop
from speed.reference import check
from speed.subjects import BATCH, QUICK_BATCH, Network, Shape, approximated, folded
from speed.tables import SEED
from speed.timing import FULL, QUICK, Action, Budget, Timing, interleaved

LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
_SAMPLES, _SAMPLES_PER_SITE, _CALLS = 4096, 256, 2
_REST_S = 0.005
_RATE = 1e-7


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        threads: numbers of threads, one row each.
        quick: one small subject per case, few rounds.
    """

    threads: tuple[int, ...]
    quick: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """One subject on a number of threads, ready to be timed.

    Attributes:
        name: of the subject.
        threads: of torch and of laxity.
        actions: ``native LAYOUT``, ``laxity LAYOUT`` and ``gather loop``.
        products: per pass.
        exact: results have been checked and agree.
        layer: the emulated layer, or None for a network.
    """

    name: str
    threads: int
    actions: dict[str, Action]
    products: int
    exact: bool
    layer: EmulatedLayer | None

    def time(self, budget: Budget) -> Timing:
        """Time all actions in turns."""
        torch.set_num_threads(self.threads)
        return interleaved(self.actions, budget, _REST_S if "gather loop" in self.actions else 0.0)


def measure(case: Case, settings: Settings) -> Iterator[Row]:
    """All rows of a case, in this process; every row is timed twice, with those of all others in between.

    Raises:
        UnavailableError: the case needs a compiler that is not there.
    """
    loop = GatherLoop() if case.method == "gather" else None
    trials: list[Trial] = []
    for subject in case.subjects[:1] if settings.quick else case.subjects:
        if isinstance(subject, Network):
            trials += _network(case, subject, settings)
        elif case.method == "training":
            trials += _training(case, subject, settings)
        else:
            trials += _forward(case, subject, settings, loop)
    budget = QUICK if settings.quick else FULL
    with torch.set_grad_enabled(case.method == "training"):
        first = [trial.time(budget) for trial in trials]
        timings = [timing.with_(trial.time(budget)) for trial, timing in zip(trials, first, strict=True)]
    for trial, timing in zip(trials, timings, strict=True):
        yield _row(case.title, trial, timing)
        if case.method == "training":
            yield from (_row(f"{case.title}, {name} only", trial, timing.only(name)) for name in LAYOUTS)


def _layouts(x: Tensor) -> dict[str, Tensor]:
    """The input in every layout that it can have."""
    if x.dim() != 4:
        return {"contiguous": x}
    return {name: x.contiguous(memory_format=layout) for name, layout in LAYOUTS.items()}


def _in_layout(model: nn.Module, layout: str) -> nn.Module:
    return copy.deepcopy(model).to(memory_format=LAYOUTS[layout])


def _call(model: nn.Module, x: Tensor) -> Action:
    return lambda: model(x)


def _emulated(case: Case, shape: Shape, x: Tensor) -> tuple[nn.Module, EmulatedLayer]:
    """The native layer, and the emulated one as a module of its own."""
    layer = shape.layer().requires_grad_(False)
    (emulated,) = approximated(nn.Sequential(layer), x, case.bits, case.multiplier)
    assert isinstance(emulated, EmulatedLayer)
    return layer, emulated


@torch.no_grad()
def _forward(case: Case, shape: Shape, settings: Settings, loop: GatherLoop | None) -> Iterator[Trial]:
    batch = QUICK_BATCH if settings.quick else BATCH
    x = shape.input(batch, half_zero=case.half_zero)
    layer, emulated = _emulated(case, shape, x)
    inputs = _layouts(x)
    actions = {f"native {name}": _call(_in_layout(layer, name), inputs[name]) for name in inputs}
    actions |= {f"laxity {name}": _call(emulated, value) for name, value in inputs.items()}
    for threads in settings.threads:
        torch.set_num_threads(threads)
        own, exact = dict(actions), _exact(emulated, inputs.values())
        if loop is not None:
            call = loop.call(emulated, x, threads)
            call()
            exact = exact and torch.equal(call.output, emulated(x))
            own["gather loop"] = call
        yield Trial(shape.name, threads, own, shape.products(batch), exact, emulated)


def _exact(emulated: nn.Module, inputs: Iterable[Tensor], *, whole: bool = False) -> bool:
    """Whether random outputs are exact, for every layout of the input."""
    samples, calls = (_SAMPLES_PER_SITE, _CALLS) if whole else (_SAMPLES, 1)
    rng = stream(SEED, "sampled outputs")
    return all(check(emulated, x, samples=samples, calls=calls, rng=rng).exact for x in inputs)


def _training(case: Case, shape: Shape, settings: Settings) -> Iterator[Trial]:
    """Forward pass, gradients of input, weight and bias, and a small change of the weight, as in training."""
    batch = QUICK_BATCH if settings.quick else BATCH
    x = shape.input(batch, half_zero=case.half_zero)
    layer, emulated = _emulated(case, shape, x)
    inputs = _layouts(x)
    gradients = _layouts(torch.ones_like(layer(x)))
    actions = {f"native {name}": _step(_in_layout(layer, name), x, gradients[name]) for name, x in inputs.items()}
    for name, value in inputs.items():
        actions[f"laxity {name}"] = _step(copy.deepcopy(emulated), value, gradients[name])
    for threads in settings.threads:
        torch.set_num_threads(threads)
        yield Trial(shape.name, threads, actions, shape.products(batch), _exact(emulated, inputs.values()), emulated)


def _step(layer: nn.Module, x: Tensor, gradient: Tensor) -> Action:
    layer.requires_grad_(True)
    value = x.detach().requires_grad_(True)

    def step() -> None:
        layer(value).backward(gradient)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(parameter.grad, alpha=-_RATE)
                parameter.grad = None
        value.grad = None

    return step


@torch.no_grad()
def _network(case: Case, network: Network, settings: Settings) -> Iterator[Trial]:
    x = network.input(network.batch)
    model = network.model(x)
    emulated = approximated(model, x, case.bits, case.multiplier)
    plain = folded(model, x)
    batch = 1 if settings.quick else network.batch
    inputs = _layouts(x[:batch])
    actions = {f"native {name}": _call(_in_layout(plain, name), value) for name, value in inputs.items()}
    actions |= {f"laxity {name}": _call(emulated, value) for name, value in inputs.items()}
    products = batch * sum(m.site.op.macs for m in emulated.modules() if isinstance(m, Slots))
    for threads in settings.threads:
        torch.set_num_threads(threads)
        exact = _exact(emulated, inputs.values(), whole=True)
        yield Trial(network.name, threads, actions, products, exact, None)


def _row(title: str, trial: Trial, timing: Timing) -> Row:
    native_layout, native_ms = timing.fastest("native")
    laxity_layout, laxity_ms = timing.fastest("laxity")
    gather_ms = timing.least_ms.get("gather loop")
    return Row(
        case=title,
        layer=trial.name,
        threads=trial.threads,
        isa=native.level(),
        native_ms=native_ms,
        laxity_ms=laxity_ms,
        ratio=laxity_ms / native_ms,
        giga_products_per_s=trial.products / laxity_ms / 1e6,
        exact=trial.exact,
        native_layout=native_layout,
        laxity_layout=laxity_layout,
        rounds=timing.rounds,
        others=timing.others,
        kernel="" if trial.layer is None else trial.layer.products()[0].describe(),
        gather_ms=gather_ms,
        speedup=None if gather_ms is None else gather_ms / laxity_ms,
    )
