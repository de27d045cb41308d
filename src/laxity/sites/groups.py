"""Which sites must lose the same channels: dependency groups by torch-pruning."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from laxity.core.errors import DataError, ToolError
from laxity.core.op import Site
from laxity.sites.layers import MODULE_TYPES, Product

_VISITS_PER_NODE, _LEAST_VISITS = 4, 1000


def load_torch_pruning() -> Any:
    """Import torch-pruning.

    Raises:
        ToolError: it is not installed; names the extra.
    """
    try:
        import torch_pruning
    except ImportError as error:
        raise ToolError("channel pruning needs torch-pruning; install it with: pip install 'laxity[prune]'") from error
    return torch_pruning


def channel_groups(model: nn.Module, example_input: Tensor, sites: Sequence[Site]) -> dict[str, str]:
    """Map every site whose output channels can really be removed to the name of its group.

    A group is kept only if removing one channel leaves a model that runs and whose output keeps its shape: the final
    layer, and layers behind reshapes that the dependency analysis does not see through, stay out.

    Raises:
        ToolError: torch-pruning is missing.
    """
    pruning = load_torch_pruning()
    groups: dict[str, str] = {}
    with torch.no_grad():
        output = model(example_input)
    if not isinstance(output, Tensor):
        return {}
    shape = output.shape
    for site in sites:
        if site.functional or site.name in groups or site.op.groups > 1 or _rigid(model, site.name):
            continue
        members = _try_removal(pruning, model, example_input, site.name, shape)
        for member in members:
            groups.setdefault(member, site.name)
    return {s.name: groups[s.name] for s in sites if s.name in groups}


def _rigid(model: nn.Module, name: str) -> bool:
    """Whether a site has no channels of its own: a product, or a child of a module that takes its outputs apart."""
    parent = model.get_submodule(name.rpartition(".")[0]) if name else model
    return type(model.get_submodule(name)) is Product or getattr(parent, "rigid", False)


def _try_removal(pruning: Any, model: nn.Module, example_input: Tensor, name: str, shape: torch.Size) -> list[str]:
    """Remove the middle channel of a layer on a copy; return the members of its group, or nothing if that is wrong.

    A channel that is zero everywhere can be removed without changing the output; where it does change, the dependency
    analysis has mistaken one channel for another (zero-padded shortcuts do that).
    """
    trial = copy.deepcopy(model)
    middle = output_channels(trial.get_submodule(name)) // 2
    try:
        group = removal_group(pruning, trial, example_input, name, [middle])
        members = group_outputs(trial, group)
        with torch.no_grad():
            for member, channels in members.items():
                _zero_outputs(trial.get_submodule(member), channels)
            silent = trial(example_input)
            group.prune()
            output = trial(example_input)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError, AssertionError, DataError):
        return []
    same = output.shape == shape and torch.allclose(output, silent, rtol=1e-3, atol=1e-4 * float(silent.abs().max()))
    return list(members) if same else []


def removal_group(pruning: Any, model: nn.Module, example_input: Tensor, name: str, channels: Sequence[int]) -> Any:
    """The torch-pruning group that removes output `channels` of layer `name` and everything that depends on them.

    Raises:
        ValueError: the search for the group does not come to an end.
    """
    graph = pruning.DependencyGraph()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        graph.build_dependency(model, example_inputs=example_input)
    _bound_visits(graph)
    layer = model.get_submodule(name)
    return graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, idxs=list(channels))


class _Bounded(list[Any]):
    """Dependencies of a node, which may be looked through a limited number of times by all nodes together."""

    def __init__(self, dependencies: Iterable[Any], visits: Iterator[int]) -> None:
        super().__init__(dependencies)
        self._visits = visits

    def __iter__(self) -> Iterator[Any]:
        if next(self._visits, None) is None:
            raise ValueError("the dependencies of a channel lead to ever other channels")
        return super().__iter__()


def _bound_visits(graph: Any) -> None:
    """Stop torch-pruning where channels depend on each other in a circle that shifts them, which it follows forever."""
    nodes = list(graph.module2node.values())
    visits = iter(range(_VISITS_PER_NODE * len(nodes) + _LEAST_VISITS))
    for node in nodes:
        node.dependencies = _Bounded(node.dependencies, visits)


def group_outputs(model: nn.Module, group: Any) -> dict[str, list[int]]:
    """Layers that lose output channels in a group, with the channels they lose."""
    names = {id(m): n for n, m in model.named_modules()}
    found: dict[str, list[int]] = {}
    for dependency, channels in group:
        target = dependency.target.module
        if dependency.handler.__name__.startswith("prune_out") and isinstance(target, MODULE_TYPES):
            found.setdefault(names[id(target)], []).extend(int(c) for c in channels)
    return found


def output_channels(layer: nn.Module) -> int:
    """Number of output channels or features of a convolution or linear layer."""
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def output_axis(layer: nn.Module) -> int:
    """Axis of the weight that runs over output channels."""
    return 1 if isinstance(layer, _TRANSPOSED) else 0


def channel_norms(layer: nn.Module) -> Tensor:
    """Euclidean norm of the weights of each output channel, float32 (channels,), on the CPU."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return weight.detach().cpu().movedim(output_axis(layer), 0).flatten(1).norm(dim=1)


@torch.no_grad()
def _zero_outputs(layer: nn.Module, channels: Sequence[int]) -> None:
    weight: Tensor = layer.weight  # type: ignore[assignment]
    index = torch.tensor(list(channels), device=weight.device)
    weight.index_fill_(output_axis(layer), index, 0.0)
    if isinstance(layer.bias, Tensor):
        layer.bias.index_fill_(0, index, 0.0)


_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
