"""Recurrent layers and cells, opened into one linear layer per weight matrix.

The product with the inputs is one call for all time steps, the product with the state one call per step. Pointwise
parts stay in floating point. The equations are those of the documentation of `torch.nn.RNN`, `LSTM` and `GRU`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from laxity.core.errors import DataError
from laxity.sites.composites import composite, linear_of
from laxity.sites.layers import steady

State = tuple[Tensor, ...]
"""What a cell keeps: the hidden state (N, H), for an LSTM also the cell state, in the order (h, c)."""

Step = Callable[[Tensor, Tensor, State], State]
"""Maps products with input and hidden state, both (N, gates), and the state before to the state after."""


def _tanh_of(x: Tensor) -> Tensor:
    """tanh(x) = 1 - 2 sigmoid(-2 x) to 2e-7, where torch takes several times as long for tanh as for sigmoid."""
    return torch.rsub(torch.mul(x, -2).sigmoid_(), 1, alpha=2)


def _lstm(from_input: Tensor, from_hidden: Tensor, state: State) -> State:
    gates = from_input + from_hidden
    size = gates.shape[1] // 4
    gates.narrow(1, 2 * size, size).mul_(-2)  # so that one sigmoid serves all gates, see _tanh_of
    keep_in, forget, new, out = gates.sigmoid_().chunk(4, 1)
    cell = torch.addcmul(torch.addcmul(keep_in, forget, state[1]), keep_in, new, value=-2)
    return torch.addcmul(out, out, torch.mul(cell, -2).sigmoid_(), value=-2), cell


def _gru(from_input: Tensor, from_hidden: Tensor, state: State) -> State:
    size = from_input.shape[1] // 3
    input_gates, input_new = from_input.split((2 * size, size), 1)
    hidden_gates, hidden_new = from_hidden.split((2 * size, size), 1)
    reset, update = (input_gates + hidden_gates).sigmoid_().chunk(2, 1)
    return (torch.lerp(_tanh_of(torch.addcmul(input_new, reset, hidden_new)), state[0], update),)


def _tanh(from_input: Tensor, from_hidden: Tensor, _: State) -> State:
    return (_tanh_of(from_input + from_hidden),)


def _relu(from_input: Tensor, from_hidden: Tensor, _: State) -> State:
    return (torch.relu(from_input + from_hidden),)


_STEPS: dict[str, Step] = {"LSTM": _lstm, "GRU": _gru, "RNN_TANH": _tanh, "RNN_RELU": _relu}


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Inputs of all time steps, one step after the other, with how many samples are left at each.

    Attributes:
        data: (sum of sizes, features).
        sizes: samples per step, never growing.
        order: permutation that sorts the samples of states by length, or None.
        back: the inverse of `order`.
    """

    data: Tensor
    sizes: list[int]
    order: Tensor | None = None
    back: Tensor | None = None

    def permuted(self, state: Tensor, order: Tensor | None) -> Tensor:
        """State (layers, N, H) with its samples in another order."""
        return state if order is None else state.index_select(1, order)


class OpenRecurrent(nn.Module):
    """`nn.RNN`, `nn.LSTM` or `nn.GRU` with a linear layer per weight matrix, named as the matrix is.

    Arguments and results are those of the original.
    """

    rigid = True

    def __init__(self, source: nn.RNNBase) -> None:
        super().__init__()
        self.mode, self.hidden_size, self.proj_size = source.mode, source.hidden_size, source.proj_size
        self.input_size, self.num_layers, self.bidirectional = (
            source.input_size,
            source.num_layers,
            source.bidirectional,
        )
        self.batch_first, self.dropout = source.batch_first, source.dropout
        for suffix in self._suffixes():
            for kind in ("ih", "hh", "hr") if source.proj_size else ("ih", "hh"):
                bias = getattr(source, f"bias_{kind}{suffix}", None)
                setattr(self, f"weight_{kind}{suffix}", linear_of(getattr(source, f"weight_{kind}{suffix}"), bias))

    def flatten_parameters(self) -> None:
        """Nothing to do; forward methods of models call it."""

    def _suffixes(self) -> list[str]:
        """Ends of the names of weights, in the order of states."""
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{layer}{end}" for layer in range(self.num_layers) for end in ends]

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:  # noqa: A002
        """As the forward method of the original.

        Raises:
            DataError: input or initial state have the wrong shape.
        """
        sequence = self._sequence(input)
        states = self._initial(sequence, hx, input)
        suffixes, data = self._suffixes(), sequence.data
        directions = 2 if self.bidirectional else 1
        final: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in suffixes[layer * directions : (layer + 1) * directions]:
                start = tuple(s[len(final)] for s in states)
                output, last = self._run(data, sequence.sizes, start, suffix)
                outputs.append(output)
                final.append(last)
            data = torch.cat(outputs, 1) if directions == 2 else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        ends = [sequence.permuted(torch.stack(parts), sequence.back) for parts in zip(*final, strict=True)]
        if isinstance(input, Tensor) and input.dim() == 2:
            ends = [s.squeeze(1) for s in ends]
        return self._shaped(data, sequence, input), tuple(ends) if self.mode == "LSTM" else ends[0]

    def _sequence(self, given: Tensor | PackedSequence) -> _Sequence:
        if isinstance(given, PackedSequence):
            return _Sequence(given.data, given.batch_sizes.tolist(), given.sorted_indices, given.unsorted_indices)
        if given.dim() not in (2, 3):
            wanted = "(steps, features), or that with a batch dimension"
            raise DataError(f"a recurrent layer takes inputs {wanted}, not {tuple(given.shape)}; give that shape")
        batch = given[:, None] if given.dim() == 2 else given.transpose(0, 1) if self.batch_first else given
        return _Sequence(batch.flatten(0, 1), [batch.shape[1]] * batch.shape[0])

    def _initial(self, sequence: _Sequence, hx: Any, given: Tensor | PackedSequence) -> State:
        """Initial states (layers x directions, N, size), zero where none are given."""
        count, samples = len(self._suffixes()), sequence.sizes[0]
        sizes = [self.proj_size or self.hidden_size] + [self.hidden_size] * (self.mode == "LSTM")
        if hx is None:
            return tuple(sequence.data.new_zeros(count, samples, size) for size in sizes)
        states = hx if isinstance(hx, (tuple, list)) else (hx,)
        if isinstance(given, Tensor) and given.dim() == 2:
            states = [s[:, None] for s in states]
        found, wanted = [tuple(s.shape) for s in states], [(count, samples, size) for size in sizes]
        if found != wanted:
            raise DataError(f"initial states of a recurrent layer have shapes {found}; they must have {wanted}")
        return tuple(sequence.permuted(s, sequence.order) for s in states)

    def _run(self, data: Tensor, sizes: Sequence[int], state: State, suffix: str) -> tuple[Tensor, State]:
        """One direction of one layer: outputs (rows, H) in the order of `data`, and the state of every sample."""
        products = getattr(self, f"weight_ih{suffix}")(data).split(list(sizes))
        backwards = suffix.endswith("_reverse")
        step = self._step(suffix)
        finished: list[State] = []
        outputs: list[Tensor] = []
        have = sizes[-1] if backwards else sizes[0]
        now = tuple(s[:have] for s in state)
        for product, want in list(zip(products, sizes, strict=True))[:: -1 if backwards else 1]:
            if want > have:
                now = tuple(torch.cat([s, first[have:want]]) for s, first in zip(now, state, strict=True))
            elif want < have:
                finished.append(tuple(s[want:] for s in now))
                now = tuple(s[:want] for s in now)
            have, now = want, step(product, now)
            outputs.append(now[0])
        ordered = outputs[::-1] if backwards else outputs
        ends = zip(*(now, *reversed(finished)), strict=True)
        return torch.cat(ordered), tuple(torch.cat(parts) for parts in ends)

    def _step(self, suffix: str) -> Callable[[Tensor, State], State]:
        """Maps the product with the input of one time step and the state before to the state after."""
        pointwise, hidden = _STEPS[self.mode], steady(getattr(self, f"weight_hh{suffix}"))
        if not self.proj_size:
            return lambda product, state: pointwise(product, hidden(state[0]), state)
        project = steady(getattr(self, f"weight_hr{suffix}"))

        def step(product: Tensor, state: State) -> State:
            after = pointwise(product, hidden(state[0]), state)
            return project(after[0]), *after[1:]

        return step

    def _shaped(self, data: Tensor, sequence: _Sequence, given: Tensor | PackedSequence) -> Tensor | PackedSequence:
        """Outputs in the form of the inputs."""
        if isinstance(given, PackedSequence):
            return PackedSequence(data, given.batch_sizes, given.sorted_indices, given.unsorted_indices)
        steps = data.unflatten(0, (len(sequence.sizes), -1))
        if given.dim() == 2:
            return steps[:, 0]
        return steps.transpose(0, 1) if self.batch_first else steps


class OpenCell(nn.Module):
    """`nn.RNNCell`, `nn.LSTMCell` or `nn.GRUCell` with a linear layer per weight matrix."""

    rigid = True

    def __init__(self, source: nn.RNNCellBase, mode: str) -> None:
        super().__init__()
        self.mode, self.input_size, self.hidden_size = mode, source.input_size, source.hidden_size
        self.weight_ih = linear_of(source.weight_ih, source.bias_ih)
        self.weight_hh = linear_of(source.weight_hh, source.bias_hh)

    def forward(self, input: Tensor, hx: Any = None) -> Any:  # noqa: A002
        """As the forward method of the original.

        Raises:
            DataError: the state does not fit the input.
        """
        x = input[None] if input.dim() == 1 else input
        lstm = self.mode == "LSTM"
        if hx is None:
            state: State = (x.new_zeros(len(x), self.hidden_size),) * (2 if lstm else 1)
        else:
            given = tuple(hx) if lstm else (hx,)
            state = tuple(s[None] for s in given) if input.dim() == 1 else given
        if any(tuple(s.shape) != (len(x), self.hidden_size) for s in state):
            shapes = [tuple(s.shape) for s in state]
            raise DataError(f"states {shapes} of a recurrent cell must have shape {(len(x), self.hidden_size)} each")
        after = _STEPS[self.mode](self.weight_ih(x), self.weight_hh(state[0]), state)
        after = tuple(s[0] for s in after) if input.dim() == 1 else after
        return after if lstm else after[0]


@composite("recurrent", nn.RNN, nn.LSTM, nn.GRU)
def _open_layer(module: nn.RNNBase) -> nn.Module:
    return OpenRecurrent(module)


@composite("lstm-cell", nn.LSTMCell)
def _open_lstm_cell(module: nn.LSTMCell) -> nn.Module:
    return OpenCell(module, "LSTM")


@composite("gru-cell", nn.GRUCell)
def _open_gru_cell(module: nn.GRUCell) -> nn.Module:
    return OpenCell(module, "GRU")


@composite("rnn-cell", nn.RNNCell)
def _open_cell(module: nn.RNNCell) -> nn.Module:
    return OpenCell(module, f"RNN_{module.nonlinearity.upper()}")
