"""A network on the processing elements of the systolic array that laxity writes: who multiplies what.

Passes, tiles, positions and padding are those of `laxity.rtl.accelerator`, from the schedule of the network's
integer-only program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.circuits import Multiplier
from laxity.core.errors import CircuitError, ConfigError, LaxityError, PlanError, TaskError
from laxity.core.registry import did_you_mean
from laxity.emulate.integer import integer_model
from laxity.emulate.layer import EmulatedLayer
from laxity.faults import FaultModel
from laxity.faults.fault import uniform
from laxity.rtl.accelerator import Configuration, Placement, Schedule, make_schedule, place_products
from laxity.techniques.data.codes import IntegerOperands

OPTIONS = ("rows", "columns", "dataflow")
"""Of every population of an array, as in `Configuration`."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayNetwork:
    """An approximated network on an array.

    Attributes:
        schedule: of its integer-only program.
        circuits: multipliers by the names in the program.
        layers: emulated layers by name, in the order in which the array works on them.
        placements: of the same layers.
    """

    schedule: Schedule
    circuits: Mapping[str, Multiplier]
    layers: Mapping[str, EmulatedLayer]
    placements: Mapping[str, Placement]

    @property
    def configuration(self) -> Configuration:
        """Of the array."""
        return self.schedule.configuration

    @classmethod
    def of(cls, model: nn.Module, example: Tensor, options: Mapping[str, Any]) -> ArrayNetwork:
        """Plan a network for an array.

        Args:
            model: with integer operands at every convolution and linear layer, in evaluation mode.
            example: float32 (n, ...).
            options: `OPTIONS`, as of `Configuration`.

        Raises:
            ConfigError: an unknown option or an array that is not possible.
            TaskError: laxity's accelerator does not compute the network, or adds products of a layer in registers of
                finite width; names the layer.
        """
        configuration = _configuration(options)
        try:
            integer = integer_model(model, example)
            schedule = make_schedule(integer.program, integer.multipliers, configuration)
            placed = place_products(schedule, integer.multipliers)
        except (PlanError, CircuitError) as error:
            raise TaskError(f"the array that laxity writes does not compute this network: {error}") from error
        layers = {p.step.site: _layer_of(model, p) for p in placed}
        return cls(schedule, integer.multipliers, layers, {p.step.site: p for p in placed})


def _configuration(options: Mapping[str, Any]) -> Configuration:
    for name, value in options.items():
        if name not in OPTIONS:
            raise ConfigError(f"populations of an array have no option {name!r}{did_you_mean(name, OPTIONS)}")
        if type(value) is not (str if name == "dataflow" else int):
            raise ConfigError(f"option {name!r} of an array cannot be {value!r}")
    return Configuration(**options)


def _layer_of(model: nn.Module, placement: Placement) -> EmulatedLayer:
    name = placement.step.site
    try:
        layer = model.get_submodule(name)
    except AttributeError as error:
        raise TaskError(f"step {name!r} of the network is no module; faults strike layers that are modules") from error
    if not isinstance(layer, EmulatedLayer) or not isinstance(layer.operand, IntegerOperands):
        raise TaskError(f"site {name!r} has no integer operands; give it {{'kind': 'integer'}}")
    if layer.accumulator is not None:
        raise TaskError(
            f"site {name!r} adds its products in a register of finite width; faults of elements are computed for exact "
            "sums, so leave out its accumulator"
        )
    coder, code = layer.operand.input, placement.source.code
    if layer.forced_codes is not None or (coder.code_range, coder.zeros[0]) != ((code.low, code.high), code.zero):
        raise LaxityError(f"site {name!r} reads other codes than its step on the array")
    return layer


def showing(fault: FaultModel, random: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which faults show in their inference, bool (n,): all, or those that `FaultModel.activity` lets.

    Args:
        fault: the model.
        random: uint64 (n, 1), or (n, 0) where all show.
    """
    if fault.activity == 1:
        return np.ones(len(random), bool)
    shown: NDArray[np.bool_] = uniform(random[:, 0]) < fault.activity
    return shown
