"""Integer-only networks: made from an approximated model, run on integer tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from laxity.circuits import Adder, Multiplier, adder_catalogue, catalogue
from laxity.core.errors import CircuitError, DataError, PlanError
from laxity.core.interpret import SUMS
from laxity.core.program import INPUT, Product, Program
from laxity.core.program_file import program_bytes, program_from_bytes
from laxity.emulate.integer.codes import choose_codes
from laxity.emulate.integer.lower import lower
from laxity.emulate.integer.modules import ProductModule, module_of
from laxity.emulate.integer.products import prove_bounds, use_of
from laxity.emulate.integer.trace import trace_model

BITS = 8
"""Width of codes that no layer prescribes, as before additions and averages."""


class IntegerModel(nn.Module):
    """A network that computes on integer codes only.

    The program is the state: `state_dict` holds it as bytes, and everything else is derived from it.

    Args:
        program: what to compute.
        multipliers: the circuits that it names; those of the catalogue if None.
        adders: the adders that its registers name; those of the catalogue if None.

    Raises:
        CircuitError, RegistryError: a circuit is missing, or is another one than the program was made with.
        PlanError: a sum may leave the bounds that the program states.
    """

    def __init__(
        self,
        program: Program,
        multipliers: Mapping[str, Multiplier] | None = None,
        adders: Mapping[str, Adder] | None = None,
    ) -> None:
        super().__init__()
        self._given = multipliers, adders
        self._build(program)

    @property
    def program(self) -> Program:
        """What is computed: a frozen description without torch."""
        return self._program

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """Product tables by the names in the program, for `run_program`."""
        return {name: m.table for name, m in self._multipliers.items()}

    @property
    def multipliers(self) -> dict[str, Multiplier]:
        """Multipliers by the names in the program."""
        return dict(self._multipliers)

    @property
    def adders(self) -> dict[str, Adder]:
        """Adders of registers by the names in the program; ``adder.add`` is what `run_program` takes."""
        return dict(self._adders)

    def quantise(self, x: Tensor) -> Tensor:
        """Codes of inputs, int32, for float32 (batch, ...): the step before the network, and no part of it.

        Raises:
            DataError: the input holds NaN or infinite values.
        """
        if not bool(torch.isfinite(x).all()):
            raise DataError("the input of an integer model holds NaN or infinite values, which no code stands for")
        code = self._program.input_code
        scale = torch.tensor(code.scale, dtype=torch.float32, device=x.device)
        steps = torch.round(x.to(torch.float32) / scale) + code.zero
        return torch.clamp(steps, code.low, code.high).to(torch.int32)

    @torch.no_grad()
    def forward(self, codes: Tensor) -> Tensor:
        """Integers of the output, int32 (batch, ...), for input codes of any integer dtype.

        The greatest of them is the prediction; times `logit_scale` they are logits.

        Raises:
            DataError: the codes have another shape or dtype, or lie outside of their range.
        """
        _, output = deque(self._run(codes, sums=False), maxlen=1)[0]
        return output

    @torch.no_grad()
    def trace(self, codes: Tensor) -> dict[str, Tensor]:
        """All integers by name, int32 (batch, ...), as `laxity.core.interpret.run_program` names them.

        Raises:
            DataError: as `forward`.
        """
        return dict(self._run(codes, sums=True))

    @property
    def logit_scale(self) -> float:
        """Value of one unit of the output."""
        return self._program.output.code.scale

    def values(self, outputs: Tensor) -> Tensor:
        """What integers of the output stand for, float32."""
        code = self._program.output.code
        return ((outputs.to(torch.float64) - code.zero) * code.scale).to(torch.float32)

    def get_extra_state(self) -> Tensor:
        """The program as bytes, uint8."""
        return torch.from_numpy(np.frombuffer(program_bytes(self._program), np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        """Become the model of another program, whose circuits this one has or the catalogue knows.

        Raises:
            RunError: the bytes are no program.
            CircuitError, RegistryError: a circuit is missing or another one.
        """
        device = next(self.buffers()).device
        self._build(program_from_bytes(state.cpu().numpy().tobytes(), "of the state"))
        self.to(device)

    def _build(self, program: Program) -> None:
        given, adders = self._given
        self._multipliers = {
            use.name: (given or {}).get(use.name) or catalogue.get(use.name) for use in program.multipliers
        }
        for use in program.multipliers:
            found = use_of(self._multipliers[use.name])
            if found != use:
                raise CircuitError(
                    f"multiplier {use.name!r} is not the one that the program was made with; give it as multipliers="
                )
        registers = [step.register for step in program.products if step.register is not None]
        names = {r.adder for r in registers if not r.cuts}
        self._adders = {name: (adders or {}).get(name) or adder_catalogue.get(name) for name in sorted(names)}
        for register in registers:
            if not register.cuts and self._adders[register.adder].key != register.adder_key:
                raise CircuitError(
                    f"adder {register.adder!r} is not the one that the program was made with; give it as adders="
                )
        for step in program.products:
            prove_bounds(step, program.code_of(step.inputs[0]), self._multipliers[step.multiplier])
        self._program = program
        self.steps = nn.ModuleList(module_of(s, program, self._multipliers, self._adders) for s in program.steps)

    def _run(self, codes: Tensor, *, sums: bool) -> Iterator[tuple[str, Tensor]]:
        """Results of all steps in order; those that nobody will read are forgotten."""
        values = {INPUT: self._checked(codes)}
        if sums:
            yield INPUT, values[INPUT]
        last = {name: i for i, step in enumerate(self._program.steps) for name in step.inputs}
        for i, (step, module) in enumerate(zip(self._program.steps, self.steps, strict=True)):
            given = [values[name] for name in step.inputs]
            if sums and isinstance(step, Product):
                assert isinstance(module, ProductModule)  # what `module_of` makes of it
                yield step.name + SUMS, (found := module.sums(given[0]))
                values[step.name] = module.requantise(found)
            else:
                values[step.name] = module(*given)
            yield step.name, values[step.name]
            for name in {n for n in step.inputs if last[n] == i}:
                del values[name]

    def _checked(self, codes: Tensor) -> Tensor:
        code, shape = self._program.input_code, self._program.input_shape
        whole = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
        if not whole or tuple(codes.shape[1:]) != shape or codes.dim() != len(shape) + 1:
            raise DataError(
                f"the integer model takes integer codes of shape (batch, {', '.join(map(str, shape))}), not "
                f"{codes.dtype} {tuple(codes.shape)}; quantise() makes them"
            )
        if codes.numel() and (int(codes.min()) < code.low or int(codes.max()) > code.high):
            raise DataError(
                f"input codes {int(codes.min())}..{int(codes.max())} lie outside {code.low}..{code.high}; quantise() "
                "makes codes that do not"
            )
        return codes.to(torch.int32)


class FloatEnds(nn.Module):
    """An integer model between floats: inputs are quantised, outputs scaled to logits.

    It can be judged like any other module.

    Args:
        integer: the integer model.
    """

    def __init__(self, integer: IntegerModel) -> None:
        super().__init__()
        self.integer = integer
        self.scale = nn.Parameter(torch.tensor(integer.logit_scale), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32, for float32 inputs (batch, ...)."""
        return self.integer.values(self.integer(self.integer.quantise(x)))


def integer_model(model: nn.Module, example: Tensor, *, bits: int = BITS) -> IntegerModel:
    """Turn an approximated model into a network that computes on integer codes only.

    Weight codes, products, accumulators and the codes of all inputs of layers are those of the model. Where its layers
    go through float32 between sums and codes, here a multiplier of 16 bits and a shift do.

    Args:
        model: from `laxity.approximate`, with integer operands at every convolution and linear layer.
        example: float32 (n, ...), typical inputs, from which the ranges of values are taken that are no input of a
            layer, as before additions and averages; the calibration inputs are good ones.
        bits: width of the codes of such values, 2 to 16.

    Raises:
        PlanError: a part of the model has no integer form, or a sum may overflow; names it.
        DataError: the example is empty or no float32 tensor.
    """
    if not 2 <= bits <= 16:
        raise PlanError(f"codes between layers have 2 to 16 bits, not {bits}")
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        graph = trace_model(model, example)
        lowered = lower(graph, choose_codes(graph, bits))
    finally:
        for module, training in modes:
            module.training = training
    return IntegerModel(lowered.program, lowered.multipliers, lowered.adders)
