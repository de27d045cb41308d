"""Targets: machines that turn the demands of a network into cost, found by name or described in a file."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from laxity.core.demand import Demand
from laxity.core.errors import RegistryError, TargetError
from laxity.core.records import Cost
from laxity.core.registry import Registry, did_you_mean
from laxity.core.serial import content_key
from laxity.targets.breakdown import Breakdown
from laxity.targets.description import (
    Description,
    Options,
    Schema,
    check_texts,
    merge_documents,
    read_document,
    resolve,
)


class Target(ABC):
    """A machine: a cost model with its constants.

    A cost model is a subclass that names the constants it needs in `schema` and turns demands into cost in `cost`.
    It is registered in `COST_MODELS`, and every description file whose ``model`` is that name makes a target of it.

    Attributes:
        schema: constants by section and name.
        options: texts at the top of a file that choose how the model computes, the usual one first.
        arithmetics: what `Demand.arithmetic` may be; the machine has no circuit for anything else.
        prices_modes: whether the model heeds `Demand.modes`; demands that have some are refused otherwise.
        prices_correction: likewise of `Demand.correction_bits`.
        prices_protection: likewise of `Demand.protection`.
        prices_guard: likewise of `Demand.guard`.
        constants: the checked description.
    """

    schema: ClassVar[Schema] = {}
    options: ClassVar[Options] = {}
    arithmetics: ClassVar[frozenset[str]] = frozenset({"integer"})
    prices_modes: ClassVar[bool] = False
    prices_correction: ClassVar[bool] = False
    prices_protection: ClassVar[bool] = False
    prices_guard: ClassVar[bool] = False

    def __init__(self, description: Description) -> None:
        self.constants = description

    @property
    def name(self) -> str:
        """Short name of the machine."""
        return self.constants.name

    @property
    def description(self) -> str:
        """What the machine is, in one or two sentences."""
        return self.constants.text

    @functools.cached_property
    def key(self) -> str:
        """Content hash of everything that `describe` shows: names, constants and their sources."""
        return content_key(self.describe())

    @property
    def baseline_multiplier(self) -> str:
        """Catalogue name of the exact multiplier of the unapproximated machine."""
        return self.constants.baseline_multiplier

    def describe(self) -> dict[str, Any]:
        """Every constant with value, unit, basis and source, in plain JSON form."""
        return self.constants.to_json()

    def option(self, name: str) -> str:
        """What the description chose for an option of the cost model."""
        return self.constants.options.get(name, self.options[name][0])

    def has_circuit(self, demand: Demand) -> bool:
        """Whether the machine can multiply and add as the demand asks; `arithmetics` decides unless overridden."""
        return demand.arithmetic in self.arithmetics

    @property
    def arithmetic_words(self) -> str:
        """What `has_circuit` accepts, for messages."""
        return ", ".join(sorted(self.arithmetics))

    def check_arithmetic(self, demands: Iterable[Demand]) -> None:
        """Refuse demands for which the machine has no circuit.

        Raises:
            TargetError: names the site and what it computes.
        """
        for demand in demands:
            if demand.modes and not self.prices_modes:
                raise TargetError(
                    f"site {demand.site!r} has filters in {len(demand.modes)} modes, which target {self.name!r} cannot "
                    "price; use one multiplier for all filters, or another target such as 'mac-array-45nm'"
                )
            if demand.correction_bits and not self.prices_correction:
                raise TargetError(
                    f"site {demand.site!r} corrects its outputs by the sum of {demand.correction_bits} low bits of its "
                    f"inputs (control variate), for which target {self.name!r} has no circuit and therefore no price; "
                    "use no correction, or another target such as 'mac-array-45nm'"
                )
            if demand.protection is not None and not self.prices_protection:
                raise TargetError(
                    f"site {demand.site!r} protects its stored weights by {demand.protection.circuit!r}, for which "
                    f"target {self.name!r} has no circuit and therefore no price; use no protection of weights, or "
                    "another target such as 'mac-array-45nm'"
                )
            if demand.guard is not None and not self.prices_guard:
                raise TargetError(
                    f"site {demand.site!r} has hardware that looks after its outputs, for which target {self.name!r} "
                    "has no circuit and therefore no price; use no GUARD choice, or another target such as "
                    "'mac-array-45nm'"
                )
            if not self.has_circuit(demand):
                raise TargetError(
                    f"site {demand.site!r} computes {demand.arithmetic}, for which target {self.name!r} has no circuit "
                    f"and therefore no price (it has: {self.arithmetic_words}); choose another format or target"
                )

    @abstractmethod
    def cost(self, demands: Sequence[Demand]) -> Cost:
        """Cost of one sample.

        Args:
            demands: one per site, in the order in which the sites run; the first reads the network's input and the
                last writes its output.

        Raises:
            TargetError: the machine cannot run a demand; names the site and the reason.
        """

    def breakdown(self, demands: Sequence[Demand]) -> Breakdown:
        """What lies behind the cost, for people to look at; empty unless the cost model says more.

        Args:
            demands: as for `cost`.

        Raises:
            TargetError: as `cost`.
        """
        del demands
        return Breakdown()


COST_MODELS: Registry[type[Target]] = Registry("cost model", "laxity.targets")
"""Cost models by the name that description files give as ``model``."""


def target_names() -> list[str]:
    """Names of the built-in targets, sorted."""
    return sorted(_built_in_files())


def load_target(name_or_path: str | Path) -> Target:
    """Make a target from a built-in name or from a description file.

    Args:
        name_or_path: a name of `target_names` (hyphens and underscores are alike), or the path of a TOML file. A file
            without ``name`` is called after itself.

    Raises:
        RegistryError: neither a built-in target nor a path, or the file names an unknown cost model.
        TargetError: the file cannot be read or its content is wrong.
    """
    path = _path_of(name_or_path)
    document = _load_document(path)
    model = document.get("model")
    if model is None:
        known = ", ".join(COST_MODELS.names())
        raise TargetError(f'{path}: missing key \'model\'; add model = "..." (known: {known}) or extends = "..."')
    cost_model = COST_MODELS[model]
    return cost_model(resolve(document, cost_model.schema, str(path), cost_model.options))


def _built_in_files() -> dict[str, Path]:
    folder = Path(str(resources.files("laxity.targets")))
    return {file.stem: file for file in folder.glob("*.toml")}


def _built_in(name: str) -> Path:
    files = _built_in_files()
    wanted = name.replace("_", "-").lower()
    if wanted not in files:
        raise RegistryError(
            f"unknown target {name!r}, neither built in nor the path of a .toml file{did_you_mean(wanted, files)}"
        )
    return files[wanted]


def _path_of(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    path = Path(text)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or path.name != text:
        return path
    return _built_in(text)


def _load_document(path: Path) -> dict[str, Any]:
    """Read a file and, under it, the built-in description that it extends."""
    document = {"name": path.stem, **read_document(path)}
    check_texts(document, str(path))
    if "extends" not in document:
        return document
    base = _load_document(_built_in(document["extends"]))
    model = document.get("model", base["model"])
    if model != base["model"]:
        raise TargetError(f"{path}: model {model!r} differs from {base['model']!r} of {document['extends']!r}; drop it")
    return merge_documents(base, document)
