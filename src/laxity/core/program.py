"""An integer-only network as plain values: what software computes, and what an accelerator is generated from.

A program is a list of steps in order of execution. Activations travel between them as integer codes; every step says
which earlier ones it reads, what it does to their integers, and in which code its result is. Shapes are those of one
sample, channels first. `laxity.core.interpret.run_program` is the definition of every step in numpy, and
`laxity.core.program_file` reads and writes programs.
"""

from __future__ import annotations

from dataclasses import dataclass

from laxity.core.parts import Code, CodeArray, MultiplierUse, Register, Shape, Window, require
from laxity.core.requantise import Addition, Requantiser
from laxity.core.steps import (
    STEPS,
    Add,
    Concatenate,
    Pad,
    Pool,
    Product,
    Rescale,
    Reshape,
    Slice,
    Step,
)

__all__ = [
    "INPUT",
    "STEPS",
    "Add",
    "Addition",
    "Code",
    "CodeArray",
    "Concatenate",
    "MultiplierUse",
    "Pad",
    "Pool",
    "Product",
    "Program",
    "Register",
    "Requantiser",
    "Rescale",
    "Reshape",
    "Shape",
    "Slice",
    "Step",
    "Window",
]

INPUT = "input"
"""The name under which steps read the input of the network."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An integer-only network.

    Attributes:
        input_shape: of one sample.
        input_code: of the input; quantising it is no part of the program.
        steps: in order of execution; the result of the last one is the output.
        multipliers: the circuits that steps name.

    Raises:
        PlanError: steps do not fit each other; names the first that does not.
    """

    input_shape: Shape
    input_code: Code
    steps: tuple[Step, ...]
    multipliers: tuple[MultiplierUse, ...]

    def __post_init__(self) -> None:
        """Check that every step fits what it reads."""
        shapes, codes = {INPUT: self.input_shape}, {INPUT: self.input_code}
        circuits = {m.name for m in self.multipliers}
        require(len(circuits) == len(self.multipliers), "a program lists a multiplier twice")
        require(bool(self.steps), "a program without steps computes nothing")
        for step in self.steps:
            require(step.name not in shapes, f"step {step.name!r} occurs twice")
            unknown = next((name for name in step.inputs if name not in shapes), None)
            require(unknown is None, f"step {step.name!r} reads {unknown!r}, which no earlier step makes")
            given = [shapes[name] for name in step.inputs]
            require(
                step.fits(given, [codes[name] for name in step.inputs]),
                f"step {step.name!r} ({step.kind}) of shape {step.shape} does not fit inputs of shapes {given}, their "
                "codes, or its own values",
            )
            if isinstance(step, Product):
                require(step.multiplier in circuits, f"step {step.name!r} names unknown multiplier {step.multiplier!r}")
            shapes[step.name], codes[step.name] = step.shape, step.code

    @property
    def output(self) -> Step:
        """The last step, whose result is the output; its code says what the integers stand for."""
        return self.steps[-1]

    @property
    def products(self) -> tuple[Product, ...]:
        """All convolutions and linear layers."""
        return tuple(step for step in self.steps if isinstance(step, Product))

    def step(self, name: str) -> Step:
        """The step of that name.

        Raises:
            PlanError: there is none.
        """
        found = next((step for step in self.steps if step.name == name), None)
        require(found is not None, f"the program has no step {name!r}; it has {', '.join(s.name for s in self.steps)}")
        assert found is not None  # narrows the type: require has checked
        return found

    def shape_of(self, name: str) -> Shape:
        """Shape of the result of a step, or of ``"input"``."""
        return self.input_shape if name == INPUT else self.step(name).shape

    def code_of(self, name: str) -> Code:
        """Code of the result of a step, or of ``"input"``."""
        return self.input_code if name == INPUT else self.step(name).code

    def multiplier(self, name: str) -> MultiplierUse:
        """The circuit that steps call by this name.

        Raises:
            PlanError: there is none.
        """
        found = next((m for m in self.multipliers if m.name == name), None)
        require(found is not None, f"the program has no multiplier {name!r}")
        assert found is not None  # narrows the type: require has checked
        return found
