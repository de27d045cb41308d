"""``laxity list``: what there is to choose from."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table

Named = dict[str, str]


class Kind(StrEnum):
    """Extension points whose members can be named on the command line."""

    TASKS = "tasks"
    NETWORKS = "networks"
    TARGETS = "targets"
    TECHNIQUES = "techniques"
    MULTIPLIERS = "multipliers"
    ADDERS = "adders"
    FAULT_MODELS = "fault-models"
    POPULATIONS = "populations"


def list_names(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything if left out.")] = None,
    json: shared.Json = False,
) -> None:
    """List tasks, networks, targets, techniques, circuit families, fault models and populations, plug-ins included."""
    found = {k.value: _LISTS[k]() for k in ([kind] if kind is not None else list(Kind))}
    if json:
        emit_json({k: [{"name": n, "description": d} for n, d in names.items()] for k, names in found.items()})
        return
    rows = [(k, name, text) for k, names in found.items() for name, text in names.items()]
    emit_table(["kind", "name", "description"], rows)


def _first_line(thing: object) -> str:
    described = thing.func if isinstance(thing, functools.partial) else thing
    return (inspect.getdoc(described) or "").strip().partition("\n")[0].replace("`", "")


def _tasks() -> Named:
    from laxity.task import tasks

    return {name: _first_line(tasks[name]) for name in tasks.names()}


def _networks() -> Named:
    from laxity.models import registry

    return {name: _first_line(registry[name]) for name in registry.names()}


def _targets() -> Named:
    from laxity.targets import load_target
    from laxity.targets.target import target_names

    return {name: load_target(name).description for name in target_names()}


def _techniques() -> Named:
    from laxity.core.approximation import TECHNIQUES

    importlib.import_module("laxity.techniques")  # registers those that come with laxity
    found = {name: TECHNIQUES[name] for name in TECHNIQUES.names()}
    return {name: f"{t.slot.level.value} level, slot {t.slot.value}: {_first_line(t)}" for name, t in found.items()}


def _multipliers() -> Named:
    from laxity.circuits import MULTIPLIERS

    families = {name: MULTIPLIERS[name] for name in MULTIPLIERS.names()}
    return {name: family.definition.partition("\n")[0] for name, family in families.items()}


def _adders() -> Named:
    from laxity.circuits import ADDERS

    families = {name: ADDERS[name] for name in ADDERS.names()}
    return {name: family.definition.partition("\n")[0] for name, family in families.items()}


def _fault_models() -> Named:
    from laxity.faults import FAULTS

    return {name: _first_line(FAULTS[name]) for name in FAULTS.names()}


def _populations() -> Named:
    from laxity.campaign import POPULATIONS

    return {name: _first_line(POPULATIONS[name]) for name in POPULATIONS.names()}


_LISTS: dict[Kind, Callable[[], Named]] = {
    Kind.TASKS: _tasks,
    Kind.NETWORKS: _networks,
    Kind.TARGETS: _targets,
    Kind.TECHNIQUES: _techniques,
    Kind.MULTIPLIERS: _multipliers,
    Kind.ADDERS: _adders,
    Kind.FAULT_MODELS: _fault_models,
    Kind.POPULATIONS: _populations,
}
