"""``laxity doctor``: what this machine offers, and what is missing for what."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table, note
from laxity.core.errors import ToolError
from laxity.eda.tools import PROGRAMS, available


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a part of laxity uses.

    Attributes:
        name: of the package or tool.
        purpose: what it is for.
        remedy: how to get it.
        programs: names under which the tool may be installed; empty for a Python package.
        design_tool: whether it is one of those that laxity.eda finds, with version and provider.
        required: whether laxity cannot work without it.
    """

    name: str
    purpose: str
    remedy: str
    programs: tuple[str, ...] = ()
    design_tool: bool = False
    required: bool = False


_CORE = ("torch", "numpy", "scipy", "optuna", "typer", "rich", "pydantic", "safetensors", "plotly", "jinja2")
NEEDS = (
    *(Need(name, "core dependency", f"pip install {name}", required=True) for name in _CORE),
    Need("torch-pruning", "structured channel pruning", "pip install 'laxity[prune]'"),
    Need("pillow", "CIFAR-10 from WebP sheets", "pip install 'laxity[images]'"),
    Need("playwright", "the browser test of the report", "pip install 'laxity[dev]'"),
    *(Need(name, program.purpose, program.remedy, design_tool=True) for name, program in PROGRAMS.items()),
    Need(
        "chromium",
        "the browser test of the report",
        "apt-get install chromium, or name one in LAXITY_CHROMIUM",
        ("chromium", "chromium-browser", "google-chrome"),
    ),
)
"""All that is looked for."""


def doctor(context: typer.Context, json: shared.Json = False) -> None:
    """Show versions, devices, compiled kernels, optional packages and external tools, and how to get what is missing.

    Ends with exit code 1 if something that laxity cannot do without is missing. Compiled kernels are not: without them
    results are the same and come slower.
    """
    machine, kernels, needs = _machine(), _kernels(), [_state(need) for need in NEEDS]
    problems, warnings = _problems(machine, kernels, needs), _warnings(kernels)
    if json:
        found = {"ok": not problems, "problems": problems, "warnings": warnings, **machine, "kernels": kernels}
        emit_json({**found, "needs": needs})
    else:
        rows = [*machine.items(), *((f"kernels: {key}", value) for key, value in kernels.items() if key != "problem")]
        emit_table(["machine", "value"], [(key.replace("_", " "), _text(value)) for key, value in rows])
        columns = ["package or tool", "found", "needed for", "how to get it"]
        emit_table(columns, [(n["name"], n["found"] or "no", n["purpose"], _remedy(n)) for n in needs])
    for warning in warnings:
        note(f"warning: {warning}")
    for problem in problems:
        note(f"problem: {problem}")
    if problems:
        context.exit(1)


def _machine() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "laxity": _version("laxity"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "devices": ["cpu", *(["cuda"] if gpus else [])],
        "gpus": gpus,
        "working_folder": str(Path.cwd()),
        "working_folder_writable": _writable(),
    }


def _kernels() -> dict[str, Any]:
    """Which kernels compute products here; what keeps them from it, if anything, is the problem."""
    from laxity.kernels import native

    used, problem = None, None
    try:
        used = native.level()
    except ToolError as error:
        problem = str(error)
    return {
        "compiled": native.compiled() is not None,
        "instruction_set": used,
        "available": [*native.levels(), "torch"],
        "forced": os.environ.get(native.VARIABLE) or None,
        "threads": native.threads(),
        "problem": problem,
    }


def _import_error() -> str:
    try:
        importlib.import_module("laxity.kernels._native")
    except ModuleNotFoundError:
        return "laxity was installed without a working C++17 compiler"
    except ImportError as error:
        return f"the compiled module cannot be loaded ({error})"
    return "the compiled module can be loaded now"


def _warnings(kernels: dict[str, Any]) -> list[str]:
    """What works, but could work better."""
    if not kernels["compiled"]:
        return [
            f"no compiled kernels: {_import_error()}. Products are computed by torch operations, with the same results "
            "and slower. Remedy: install a C++17 compiler (apt-get install g++, dnf install gcc-c++, or Xcode's "
            "command line tools), then install laxity again: pip install --force-reinstall --no-deps PATH_OF_LAXITY"
        ]
    if kernels["forced"] and kernels["instruction_set"] not in {None, kernels["available"][0]}:
        return [
            f"LAXITY_ISA={kernels['forced']} forces slower kernels than {kernels['available'][0]}, with the same "
            "results; unset it to have the faster ones"
        ]
    if kernels["available"] == ["portable", "torch"]:
        return [
            "no vector kernels: they need AVX2 or AVX-512 on x86-64, and pass a self-test before they are used. "
            "Results are the same and come slower"
        ]
    return []


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _writable() -> bool:
    try:
        with tempfile.TemporaryFile(dir=Path.cwd()):
            return True
    except OSError:
        return False


def _state(need: Need) -> dict[str, Any]:
    """A need with what was found: a version, a path, or None."""
    return {
        "name": need.name,
        "found": _found(need),
        "purpose": need.purpose,
        "remedy": need.remedy,
        "required": need.required,
    }


def _found(need: Need) -> str | None:
    if need.design_tool:
        tool = available(need.name)
        return f"{tool.version} ({tool.provider})" if tool else None
    if not need.programs:
        return _version(need.name)
    named = os.environ.get(f"LAXITY_{need.name.upper()}")
    places = (shutil.which(name) for name in ((named,) if named else need.programs))
    return next(filter(None, places), None)


def _problems(machine: dict[str, Any], kernels: dict[str, Any], needs: list[dict[str, Any]]) -> list[str]:
    missing = [f"{n['name']} is missing: {n['remedy']}" for n in needs if n["required"] and n["found"] is None]
    if kernels["problem"]:
        missing.append(kernels["problem"])
    if not machine["working_folder_writable"]:
        missing.append(f"{machine['working_folder']} cannot be written: change to another folder, or give --out")
    return missing


def _remedy(need: dict[str, Any]) -> str:
    return "" if need["found"] else str(need["remedy"])


def _text(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else value
