"""A flat module as Yosys writes it: ports, cells and their pins on numbered nets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from laxity.circuits.netlist import ONE, ZERO
from laxity.eda.run import ToolRunError
from laxity.eda.yosys import read_netlist

_FIRST_NET = 2


@dataclass(frozen=True, slots=True)
class Instance:
    """One cell.

    Attributes:
        type: name of the cell type.
        parameters: as Yosys writes them; bit vectors are strings of 0 and 1.
        pins: nets by pin name; constants are `ZERO` and `ONE`, and undefined bits `ZERO`.
        outputs: names of the output pins.
        name: of the instance.
    """

    type: str
    parameters: Mapping[str, Any]
    pins: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    name: str = ""

    def bits(self, parameter: str) -> int:
        """A parameter that is a bit vector.

        Raises:
            ToolRunError: it is missing or is no bit vector.
        """
        value = self.parameters.get(parameter)
        if not isinstance(value, str) or not value or set(value) - set("01"):
            raise ToolRunError(f"a {self.type} has {parameter} = {value!r} in the netlist of yosys; expected bits")
        return int(value, 2)

    def net(self, pin: str) -> int:
        """The net at a pin of one bit.

        Raises:
            ToolRunError: there is no such pin, or it is wider.
        """
        nets = self.pins.get(pin, ())
        if len(nets) != 1:
            raise ToolRunError(f"a {self.type} has {len(nets)} nets at its pin {pin} in the netlist of yosys")
        return nets[0]


@dataclass(frozen=True, slots=True)
class Module:
    """A flat module.

    Attributes:
        inputs: nets of each input port, least significant first.
        outputs: nets of each output port, least significant first.
        instances: cells; in topological order after `ordered`.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    instances: tuple[Instance, ...]


def read_module(content: bytes, name: str, outputs_of: Callable[[str], tuple[str, ...]]) -> Module:
    """Read one module of what ``write_json`` wrote.

    Args:
        content: the JSON document.
        name: of the module.
        outputs_of: the output pins of a cell type.

    Raises:
        ToolRunError: the document or the module is not as Yosys writes it.
    """
    return module_of(read_netlist(content), name, outputs_of)


def module_of(document: Mapping[str, Any], name: str, outputs_of: Callable[[str], tuple[str, ...]]) -> Module:
    """As `read_module`, of a document that `laxity.eda.yosys.read_netlist` has read.

    Raises:
        ToolRunError: the module is not as Yosys writes it.
    """
    try:
        module = document["modules"][name]
        ports = {port: (facts["direction"], _nets(facts["bits"])) for port, facts in module["ports"].items()}
        instances = tuple(_instance(name, cell, outputs_of) for name, cell in module["cells"].items())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ToolRunError(f"yosys wrote a netlist that cannot be read ({type(error).__name__}: {error})") from error
    return Module(
        {port: nets for port, (direction, nets) in ports.items() if direction == "input"},
        {port: nets for port, (direction, nets) in ports.items() if direction == "output"},
        instances,
    )


def ordered(module: Module) -> Module:
    """The same module with its cells in topological order.

    Raises:
        ToolRunError: a net is driven twice or not at all, or there is a cycle.
    """
    driver: dict[int, int] = {ZERO: -1, ONE: -1}
    for nets in module.inputs.values():
        driver.update(dict.fromkeys(nets, -1))
    for index, cell in enumerate(module.instances):
        for pin in cell.outputs:
            for net in cell.pins.get(pin, ()):
                if net in driver:
                    raise ToolRunError(f"net {net} has two drivers in the netlist of yosys")
                driver[net] = index
    order: list[int] = []
    state = [0] * len(module.instances)  # 0 not seen, 1 open, 2 done
    for start in range(len(module.instances)):
        _visit(start, module, driver, state, order)
    undriven = [net for nets in module.outputs.values() for net in nets if net not in driver]
    if undriven:
        raise ToolRunError(f"an output of the netlist of yosys has no driver (net {undriven[0]})")
    return Module(module.inputs, module.outputs, tuple(module.instances[index] for index in order))


def _visit(start: int, module: Module, driver: Mapping[int, int], state: list[int], order: list[int]) -> None:
    """Append a cell after all that drive it; without recursion, for long carry chains."""
    stack = [start]
    while stack:
        index = stack[-1]
        if state[index] == 2:
            stack.pop()
            continue
        cell = module.instances[index]
        nets = [net for pin, several in cell.pins.items() if pin not in cell.outputs for net in several]
        missing = [net for net in nets if net not in driver]
        if missing:
            raise ToolRunError(f"net {missing[0]} has no driver in the netlist of yosys")
        before = [driver[net] for net in nets if driver[net] >= 0 and state[driver[net]] != 2]
        if state[index] == 0 and before:
            state[index] = 1
            stack.extend(before)
        elif before:
            raise ToolRunError("the netlist of yosys has a cycle")
        else:
            state[index] = 2
            order.append(index)
            stack.pop()


def _instance(name: str, cell: Mapping[str, Any], outputs_of: Callable[[str], tuple[str, ...]]) -> Instance:
    pins = {pin: _nets(bits) for pin, bits in cell["connections"].items()}
    return Instance(str(cell["type"]), cell.get("parameters", {}), pins, outputs_of(str(cell["type"])), name)


def _nets(bits: list[Any]) -> tuple[int, ...]:
    return tuple(_net(bit) for bit in bits)


def _net(bit: Any) -> int:
    if bit == "1":
        return ONE
    if bit in ("0", "x", "z"):
        return ZERO
    if not isinstance(bit, int) or bit < _FIRST_NET:
        raise ValueError(f"{bit!r} is no net")
    return bit
