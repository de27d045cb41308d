"""Modules that are several operations: opened into children that are one operation each.

An opened module computes what the original computes, in plain torch, by calling its children: linear layers and
`Product`. These children are sites with a path like any other layer, and everything that works on layers works on
them. One file per family registers how its modules are opened; other packages can do the same with `composite`. A
class attribute ``rigid = True`` on the opened form says that it takes outputs of its children apart by position (heads,
gates), so that none of them can lose channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from laxity.core.registry import Registry

Opener = Callable[[Any], nn.Module]


@dataclass(frozen=True, slots=True)
class Composite:
    """How modules of some types are opened.

    Attributes:
        kinds: the types.
        opener: maps a module of these types to its opened form, or to itself, changed in place.
        subclasses: whether subclasses with a forward method of their own are meant too.
    """

    kinds: tuple[type[nn.Module], ...]
    opener: Opener
    subclasses: bool

    def distance(self, module: nn.Module) -> int | None:
        """How many classes lie between the module's own and the type that fits it; None where none fits."""
        classes = type(module).__mro__
        found = [
            classes.index(kind)
            for kind in self.kinds
            if kind in classes and (self.subclasses or type(module).forward is kind.forward)
        ]
        return min(found, default=None)


COMPOSITES: Registry[Composite] = Registry("composite module", "laxity.composites")
"""Composite modules by a name of their own; other packages add theirs through the entry-point group."""


def composite(name: str, *kinds: type[nn.Module], subclasses: bool = False) -> Callable[[Opener], Composite]:
    """Register a function that opens modules of the given types; of several that fit, that of the nearest class counts.

    Args:
        name: of the entry, which an entry point must have too.
        *kinds: module types. Subclasses that keep the forward method are opened too.
        subclasses: open subclasses with another forward method as well.

    Raises:
        RegistryError: the name is taken.
    """

    def register(opener: Opener) -> Composite:
        return COMPOSITES.register(name)(Composite(kinds, opener, subclasses))

    return register


def open_composites(model: nn.Module, exact: Sequence[str] = ()) -> nn.Module:
    """Open every registered composite module of a model, in place; hooks of the user move to the opened module.

    Args:
        model: a private copy.
        exact: patterns of paths to leave as they are, see `left_exact`.

    Returns:
        The model, or its opened form where the model itself is a composite.
    """
    for module, way in list(_to_open(model, exact)):
        opened = way.opener(module)
        if opened is module:
            continue
        opened.train(module.training)
        _move_hooks(module, opened)
        if module is model:
            model = opened
        else:
            replace_module(model, module, opened)
    return model


def opened_copy(model: nn.Module, exact: Sequence[str] = ()) -> nn.Module:
    """The model itself where it has no composite module, else an opened copy."""
    return open_composites(copy.deepcopy(model), exact) if any(True for _ in _to_open(model, exact)) else model


def replace_module(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` in the place of `old` under every name that it has; `old` is not the model itself."""
    for parent in model.modules():
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new


def left_exact(name: str, exact: Iterable[str]) -> bool:
    """Whether a site, call or module path is left exact: a pattern matches it, its call, or a module around it.

    Patterns are those of `fnmatch`: ``"encoder.*"``, ``"*:einsum#0"``, ``"head"``.
    """
    path, _, call = name.partition(":")
    steps = path.split(".")
    names = {".".join(steps[:i]) for i in range(1, len(steps) + 1)} | {name}
    if call:
        names.add(f"{path}:{call.partition('.')[0]}")
    return any(fnmatchcase(n, pattern) for n in names for pattern in exact)


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer that holds the given weight (outputs, inputs) and bias, which are not copied."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach())
    return layer


def _to_open(model: nn.Module, exact: Sequence[str]) -> Iterator[tuple[nn.Module, Composite]]:
    known = [COMPOSITES[name] for name in COMPOSITES.names()]
    for path, module in model.named_modules():
        fitting = [(distance, way) for way in known if (distance := way.distance(module)) is not None]
        if fitting and not left_exact(path, exact):
            yield module, min(fitting, key=lambda found: found[0])[1]


def _move_hooks(old: nn.Module, new: nn.Module) -> None:
    for name in (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_pre_hooks_with_kwargs",
        "_forward_hooks_always_called",
    ):
        getattr(new, name).update(getattr(old, name))
