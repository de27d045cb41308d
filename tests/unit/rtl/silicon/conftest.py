"""Random designs with state and their plainest simulation; a small accelerator in cells."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from laxity.circuits.netlist import CELL_PINS, ONE, ZERO, Gate, Port
from laxity.core.errors import ToolError
from laxity.eda.store import Store
from laxity.eda.tools import find
from laxity.rtl.accelerator import Configuration, write_accelerator
from laxity.rtl.silicon.mapping import map_accelerator
from laxity.rtl.silicon.netlist import FlipFlop, Memory, Netlist, WritePort

CELLS = {
    "INV": lambda a: (not a,),
    "BUF": lambda a: (a,),
    "AND2": lambda a, b: (a and b,),
    "OR2": lambda a, b: (a or b,),
    "NAND2": lambda a, b: (not (a and b),),
    "NAND3": lambda a, b, c: (not (a and b and c),),
    "NOR2": lambda a, b: (not (a or b),),
    "NOR3": lambda a, b, c: (not (a or b or c),),
    "XOR2": lambda a, b: (a != b,),
    "XNOR2": lambda a, b: (a == b,),
    "AOI21": lambda a, b, c: (not ((a and b) or c),),
    "AOI22": lambda a, b, c, d: (not ((a and b) or (c and d)),),
    "OAI21": lambda a, b, c: (not ((a or b) and c),),
    "MUX2": lambda s, x, y: (not (y if s else x),),
    "HA": lambda a, b: ((a + b) % 2, (a + b) // 2),
    "FA": lambda a, b, c: ((a + b + c) % 2, (a + b + c) // 2),
}


def random_netlist(seed, gates=40, flip_flops=8):
    """A design with two inputs, a memory that is written through two ports, and one that is only read."""
    pick = random.Random(seed)
    numbers = iter(range(2, 10**6))

    def fresh(count):
        return tuple(next(numbers) for _ in range(count))

    inputs, held = fresh(3), fresh(flip_flops)
    words, bits, depth = pick.choice([(4, 3, 2), (3, 2, 2), (5, 4, 3)])
    ram, rom = fresh(bits), fresh(2)
    nets = [ZERO, ONE, *inputs, *held, *ram, *rom]
    made = []
    for _ in range(gates):
        cell = pick.choice(list(CELL_PINS))
        ins, outs = CELL_PINS[cell]
        outputs = fresh(outs)
        made.append(Gate(cell, tuple(pick.choice(nets) for _ in range(ins)), outputs, pick.choice(["", "a.b"])))
        nets += outputs

    def some(count):
        return tuple(pick.choice(nets) for _ in range(count))

    writes = tuple(WritePort(some(bits), some(depth), some(bits)) for _ in range(2))
    memories = (
        Memory("ram", words, bits, some(depth), ram, writes, None),
        Memory("rom", 4, 2, some(2), rom, (), tuple(pick.randrange(4) for _ in range(4))),
    )
    registers = tuple(FlipFlop(pick.choice(nets), q, f"r{q}", "a.b") for q in held)
    ports = (Port("x", inputs[:1]), Port("y", inputs[1:]))
    return Netlist("random", ports, (Port("z", some(3)),), registers, memories, tuple(made))


class Plain:
    """One image of a design, bit by bit: the reference."""

    def __init__(self, netlist, held, contents):
        """Start from what flip-flops and words read hold, by net, and from contents of memories."""
        self.netlist, self.nets = netlist, {ZERO: 0, ONE: 1, **held}
        self.contents = [list(words) for words in contents]
        self.toggles, self.reads, self.writes = {}, [0] * len(contents), [0] * len(contents)
        self.last = [None] * len(contents)

    def put(self, net, value):
        """Give a net a value; a first value is no change."""
        value = int(value)
        if self.nets.get(net, 0) != value:
            self.toggles[net] = self.toggles.get(net, 0) + 1
        self.nets[net] = value

    def settle(self, inputs):
        """Values of inputs by net, then all gates."""
        for net, value in inputs.items():
            self.put(net, value)
        for gate in self.netlist.gates:
            results = CELLS[gate.cell](*(self.nets[net] for net in gate.inputs))
            for net, value in zip(gate.outputs, results, strict=True):
                self.put(net, value)

    def number(self, nets):
        return sum(self.nets[net] << bit for bit, net in enumerate(nets))

    def clock(self):
        """A rising edge."""
        news = {f.q: self.nets[f.d] for f in self.netlist.flip_flops}
        for index, memory in enumerate(self.netlist.memories):
            address, words = self.number(memory.address), self.contents[index]
            word = words[address] if address < memory.words else 0
            self.reads[index] += self.last[index] != address
            self.last[index] = address
            news |= {net: word >> bit & 1 for bit, net in enumerate(memory.data)}
            for port in memory.writes:
                place, enable = self.number(port.address), self.number(port.enable)
                if enable:
                    self.writes[index] += 1
                    if place == address:
                        self.last[index] = None
                    if place < memory.words:
                        words[place] = words[place] & ~enable | self.number(port.data) & enable
        for net, value in news.items():
            self.put(net, value)


def bit_of(words, image):
    """The bit of an image in words of images."""
    return int(words[image // 64]) >> (image % 64) & 1


@pytest.fixture(scope="session")
def designs():
    """The functions above."""
    return SimpleNamespace(random_netlist=random_netlist, Plain=Plain, bit_of=bit_of, CELLS=CELLS)


@pytest.fixture(scope="session")
def yosys():
    """Yosys, which maps."""
    try:
        return find("yosys")
    except ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Where mapped netlists are kept during the tests."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def written(lab, tmp_path_factory):
    """A small accelerator of 2 x 2 elements, with vectors of three images."""
    b = lab.Builder(1, (2, 3, 3))
    b.product(3, "drum8_4", (2, 2))
    b.pool("max", 2, 1, 0)
    b.flatten()
    b.product(3, "drum8_4", code=lab.SUMS)
    folder = tmp_path_factory.mktemp("accelerator")
    schedule = write_accelerator(b.program, b.used, Configuration(2, 2), folder, b.inputs(3)).schedule
    return SimpleNamespace(folder=folder, schedule=schedule, images=3)


@pytest.fixture(scope="session")
def mapped(written, store, yosys):
    """It, in cells."""
    return map_accelerator(written.folder, store=store)


@pytest.fixture
def copied(written, tmp_path):
    """A copy that may be spoilt."""
    for path in written.folder.rglob("*"):
        target = tmp_path / path.relative_to(written.folder)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def rng():
    """Random numbers."""
    return np.random.default_rng(5)
