"""The schedule of a program on the array: passes, memory contents, and exact counts of cycles and accesses.

Cycles of a pass of the array are closed forms (`laxity.core.array`); a pass of the vector unit over T words for each of
M results takes T * M + 11.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from laxity.circuits import Multiplier
from laxity.core.array import output_stationary_cycles, weight_stationary_cycles
from laxity.core.errors import CircuitError, PlanError
from laxity.core.interpret import check_table
from laxity.core.program import Product, Program, Step
from laxity.rtl.accelerator.configuration import OUTPUT_STATIONARY, Configuration
from laxity.rtl.accelerator.images import Images
from laxity.rtl.accelerator.layout import Layout, lay_out, map_of
from laxity.rtl.accelerator.passes import Pass
from laxity.rtl.accelerator.product import ProductLowering
from laxity.rtl.accelerator.vector import VectorLowering


@dataclass(frozen=True, slots=True)
class Counts:
    """What a step costs for one sample.

    Attributes:
        cycles: clock cycles from the fetch of its first pass to the write of its last word.
        passes: instructions.
        macs: multiplications that the step asks for, without those of padding lanes and columns.
        utilisation: `macs` per processing element and cycle, at most 1.
        weight_reads: words of the weight memory, each of one weight per column.
        activation_reads: words of the activation memory, each of one code per row; those in the padding count too.
        activation_writes: words written, of activations or of the output.
        accumulator_reads, accumulator_writes: words of the accumulators, each of one partial sum per column.
    """

    cycles: int
    passes: int
    macs: int
    utilisation: float
    weight_reads: int
    activation_reads: int
    activation_writes: int
    accumulator_reads: int
    accumulator_writes: int


@dataclass(frozen=True, slots=True)
class StepSchedule:
    """One step with its passes and counts."""

    step: Step
    passes: tuple[Pass, ...]
    counts: Counts


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """A program on an array.

    Attributes:
        program: what is computed.
        configuration: size of the array.
        layout: where values lie.
        steps: that are executed, in order.
        images: contents of weight and parameter memory.
        accumulator_words: depth of the accumulators.
    """

    program: Program
    configuration: Configuration
    layout: Layout
    steps: tuple[StepSchedule, ...]
    images: Images
    accumulator_words: int

    @property
    def passes(self) -> tuple[Pass, ...]:
        """All instructions in order."""
        return tuple(itertools.chain.from_iterable(step.passes for step in self.steps))

    @property
    def cycles(self) -> int:
        """Clock cycles of one sample, from its last input beat to its first output beat."""
        return sum(step.counts.cycles for step in self.steps)

    @property
    def utilisation(self) -> float:
        """Multiplications per processing element and cycle over all steps."""
        elements = self.configuration.rows * self.configuration.columns
        return sum(step.counts.macs for step in self.steps) / (elements * self.cycles)


def make_schedule(program: Program, circuits: Mapping[str, Multiplier], configuration: Configuration) -> Schedule:
    """Plan a program for an array.

    Args:
        program: what is computed.
        circuits: the multipliers that it names.
        configuration: of the array.

    Raises:
        CircuitError: a multiplier is missing or another one than that of the program.
        PlanError: the accelerator cannot compute a step; names it and says why.
    """
    for use in program.multipliers:
        found = circuits.get(use.name)
        check_table(use, None if found is None else found.table)
        if found is not None and (found.a_signed, found.b_signed) != (use.a_signed, use.b_signed):
            raise CircuitError(f"multiplier {use.name!r} has other signs than the program was made with")
    if not program.products:
        raise PlanError("the program has no product step; an array without multiplications is not built")
    layout = lay_out(program, configuration.rows, configuration.words_per_group)
    images = Images()
    words = configuration.accumulator_words or _most_positions(program)
    tables = {use.name: circuits[use.name].table for use in program.multipliers}
    products = ProductLowering(program, configuration, layout, tables, images, words)
    others = VectorLowering(program, layout, images, configuration.rows)
    steps = []
    for step in layout.executed:
        lowered = tuple(products.passes(step) if isinstance(step, Product) else others.passes(step))
        last = step is layout.executed[-1]
        ended = dataclasses.replace(lowered[-1], step_end=1, program_end=int(last))
        _check_zero(step, ended)
        passes = (*lowered[:-1], ended)
        steps.append(StepSchedule(step, passes, _count(step, passes, configuration)))
    return Schedule(program, configuration, layout, tuple(steps), images, words)


def _most_positions(program: Program) -> int:
    maps = [map_of(step.shape, step.name) for step in program.products]
    return max(height * width for _, height, width in maps)


def _check_zero(step: Step, last: Pass) -> None:
    """Raise unless lanes without channels get the code of zero."""
    found = min(max(last.zero, last.low), last.high)
    if found != step.code.zero and not last.to_output:
        raise PlanError(
            f"step {step.name!r} gives {found} for the value 0, but the zero-point of its code is {step.code.zero}; "
            "the accelerator needs zero-points within the limits of a step"
        )


def pass_cycles(one: Pass, configuration: Configuration) -> int:
    """Clock cycles of one pass, from its fetch to the write of its last word."""
    if one.vector:
        return one.tiles * one.positions + 11
    stationary = configuration.dataflow == OUTPUT_STATIONARY
    cycles = output_stationary_cycles if stationary else weight_stationary_cycles
    return cycles(one.tiles, one.positions, configuration.rows, configuration.columns)


def _count(step: Step, passes: tuple[Pass, ...], configuration: Configuration) -> Counts:
    cycles = sum(pass_cycles(p, configuration) for p in passes)
    array = [p for p in passes if not p.vector]
    macs = 0
    if isinstance(step, Product):
        _, height, width = map_of(step.shape, step.name)
        macs = height * width * step.weight.size
    elements = configuration.rows * configuration.columns
    words = [p.positions * (1 if p.vector else configuration.words_per_group) for p in passes]
    stationary = configuration.dataflow == OUTPUT_STATIONARY
    groups = [-(-p.positions // configuration.rows) if stationary else 1 for p in array]
    partial = 0 if stationary else sum((p.tiles - 1) * p.positions for p in array)
    return Counts(
        cycles=cycles,
        passes=len(passes),
        macs=macs,
        utilisation=macs / (cycles * elements),
        weight_reads=sum(g * p.tiles * configuration.rows for p, g in zip(array, groups, strict=True)),
        activation_reads=sum(p.tiles * p.positions for p in passes),
        activation_writes=sum(words),
        accumulator_reads=partial,
        accumulator_writes=partial,
    )
