"""Running a design tool in a fenced folder: chosen file names, limits, and errors that name the user's file and line.

A tool gets a fresh temporary folder with the given files and nothing else, a small environment, no standard input, and
limits on time, memory and file size. Its whole process group ends with it. A tool from a wheel sees this folder only.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from laxity.core.errors import ToolError
from laxity.eda.tools import PROGRAMS, Tool

try:
    import resource
except ImportError:  # not on Windows: runs are limited by time only
    resource = None  # type: ignore[assignment]

Progress = Callable[[str], None]
"""Told in words what takes long."""

WARM_UP_S = 900.0
"""Time allowed for the first start of a tool from a wheel, which compiles it."""

MAX_FILE_BYTES = 1 << 30
"""Largest file that a tool may write."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
_POLL_S = 0.02
_TAIL_LINES = 6
_TAIL_BYTES = 1 << 20
_INHERITED = ("PATH", "HOME", "XDG_CACHE_HOME", "YOWASP_CACHE_DIR", "LD_LIBRARY_PATH", "VERILATOR_ROOT", "SYSTEMROOT")
_OUT_OF_MEMORY = re.compile(r"bad_alloc|out of memory|MemoryError|annot allocate memory|ailed to allocate|RLIMIT", re.I)
_warm: set[tuple[str, ...]] = set()


class ToolRunError(ToolError):
    """A tool was there and did not do its work: killed, out of time or memory, or it wrote nothing."""

    exit_code: ClassVar[int] = 1


class ToolInputError(ToolRunError):
    """A tool found an error in what it was given.

    Attributes:
        reason: what the tool says.
        file: the user's name of the file; None if the tool names none.
        line: in that file, from 1; None if the tool names none.
    """

    def __init__(self, tool: str, reason: str, file: str | None = None, line: int | None = None) -> None:
        self.reason, self.file, self.line = reason, file, line
        where = "" if file is None else f"{file}: " if line is None else f"{file}, line {line}: "
        super().__init__(f"{where}{reason} (says {tool})")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a tool left behind.

    Attributes:
        outputs: contents of the wanted files by name.
        stdout, stderr: what it printed; of very long text the end.
        seconds: wall-clock time.
    """

    outputs: dict[str, bytes]
    stdout: str
    stderr: str
    seconds: float


def run(
    tool: Tool,
    arguments: Sequence[str],
    files: Mapping[str, bytes],
    wanted: Sequence[str],
    timeout_s: float,
    memory_bytes: int | None = None,
    progress: Progress | None = None,
    shown: Mapping[str, str] | None = None,
) -> Finished:
    """Run a tool on files and read what it wrote.

    Args:
        tool: from `tools.find`.
        arguments: after the command; they are not seen by any shell.
        files: contents by file name. Names are chosen by the caller of this function, never by the user.
        wanted: names of files that the tool must write.
        timeout_s: wall-clock limit.
        memory_bytes: limit on the memory of each process, where the system has such limits.
        progress: told when the tool has to be prepared first, which may take a minute.
        shown: how messages call a file, by its name in `files`: the user's name of it.

    Raises:
        ToolInputError: the tool found an error in the files.
        ToolRunError: it was killed, ran out of time or memory, failed otherwise, or did not write a wanted file.
        ToolError: a file name is not plain, or the tool cannot be started.
    """
    _check_names([*files, *wanted])
    _warm_up(tool, progress)
    with tempfile.TemporaryDirectory(prefix="laxity_", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        work = folder / "work"
        work.mkdir()
        for file, content in files.items():
            (work / file).write_bytes(content)
        end = _execute(tool, arguments, folder, timeout_s, memory_bytes)
        stdout, stderr = _text(folder / "stdout"), _text(folder / "stderr")
        _check_end(tool, end, stdout + stderr, timeout_s, memory_bytes, shown or {})
        outputs = {file: _output(tool, work / file, stdout + stderr) for file in wanted}
    return Finished(outputs, stdout, stderr, end.seconds)


@dataclass(frozen=True, slots=True)
class _End:
    """How a process ended: its exit code (negative: signal; None: out of time) and its wall-clock time."""

    code: int | None
    seconds: float


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ToolError(f"{name!r} is no file name for a tool; use letters, digits, _ and . only")


def _warm_up(tool: Tool, progress: Progress | None) -> None:
    """Start a tool from a wheel once without a memory limit: the first start ever compiles it and takes long."""
    if tool.provider != "wheel" or tool.command in _warm:
        return

    def prepared(said: str) -> None:
        if progress is not None and said.startswith("Preparing"):
            progress(f"{tool.identity} starts for the first time and is compiled: about a minute, up to 1.6 GB ...")

    with tempfile.TemporaryDirectory(prefix="laxity_", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "work").mkdir()
        end = _execute(tool, [PROGRAMS[tool.name].version_option], folder, WARM_UP_S, None, prepared)
        said = _text(folder / "stdout") + _text(folder / "stderr")
    if end.code is None or end.code < 0:
        raise ToolRunError(f"{tool.identity} could not be prepared ({_how(end, WARM_UP_S)}); {_tail(said)}")
    _warm.add(tool.command)


def _execute(
    tool: Tool,
    arguments: Sequence[str],
    folder: Path,
    timeout_s: float,
    memory_bytes: int | None,
    first_words: Progress | None = None,
) -> _End:
    """Run in ``folder/work``; what is printed goes to files beside it."""
    start = time.monotonic()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        try:
            process = subprocess.Popen(
                [*tool.command, *arguments],
                cwd=folder / "work",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(tool, folder),
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"{tool.identity} cannot be started: {error}; {PROGRAMS[tool.name].remedy}") from error
        with _ended(process):
            _limit(process.pid, memory_bytes)
            while process.poll() is None:
                elapsed = time.monotonic() - start
                if elapsed > timeout_s:
                    return _End(None, elapsed)
                if first_words is not None and (said := _text(folder / "stderr")):
                    first_words(said)
                    first_words = None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(_POLL_S + 0.1 * elapsed, 0.5))
    return _End(process.returncode, time.monotonic() - start)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process and all its children, whatever happens."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()


def _limit(pid: int, memory_bytes: int | None) -> None:
    """Limit data and file size of the process and of what it starts; where the system cannot, nothing is limited."""
    if resource is None or not hasattr(resource, "prlimit"):
        return
    limits = [(resource.RLIMIT_FSIZE, MAX_FILE_BYTES), (resource.RLIMIT_CORE, 0)]
    if memory_bytes is not None:
        # Address space would not do: WebAssembly reserves many gigabytes that it never touches.
        limits.append((resource.RLIMIT_DATA, memory_bytes))
    for kind, value in limits:
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, kind, (value, value))


def _environment(tool: Tool, folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    (folder / "temporary").mkdir(exist_ok=True)
    kept |= {"LC_ALL": "C.UTF-8", "TMPDIR": str(folder / "temporary")}
    if tool.provider == "wheel":
        kept["YOWASP_MOUNT"] = "/=."
    return kept


def _check_end(
    tool: Tool, end: _End, said: str, timeout_s: float, memory_bytes: int | None, shown: Mapping[str, str]
) -> None:
    if end.code == 0:
        return
    if end.code is not None:
        _check_memory(tool, end.code, said, memory_bytes)
        if rejected := complaint(tool.name, said, shown):
            raise rejected
    raise ToolRunError(f"{tool.identity} {_how(end, timeout_s)}; {_tail(said)}")


def _check_memory(tool: Tool, code: int, said: str, memory_bytes: int | None) -> None:
    if not _OUT_OF_MEMORY.search(said) and not (code == -signal.SIGABRT and memory_bytes is not None):
        return
    limit = "" if memory_bytes is None else f" (limit {memory_bytes / (1 << 20):.0f} MiB)"
    raise ToolRunError(f"{tool.identity} ran out of memory{limit}; give a smaller circuit. {_tail(said)}")


def _how(end: _End, timeout_s: float) -> str:
    if end.code is None:
        return f"did not finish within {timeout_s:g} s and was killed; give a smaller circuit"
    if end.code < 0:
        try:
            name = signal.Signals(-end.code).name
        except ValueError:
            name = str(-end.code)
        return f"was killed by signal {name}"
    return f"failed with exit code {end.code}"


_COMPLAINT = re.compile(r"^(?:(?P<file>[A-Za-z0-9_.]+):(?P<line>\d+)(?:[.\-:]\S*)?:? )?ERROR: *(?P<reason>\S.*)$", re.M)
_PLACE = re.compile(r"(?P<file>[A-Za-z0-9_][A-Za-z0-9_.]*\.[A-Za-z]+):(?P<line>\d+)")
_LINE = re.compile(r"\bline (?P<line>\d+)\b")


def complaint(tool: str, said: str, shown: Mapping[str, str]) -> ToolInputError | None:
    """The first line ``ERROR: ...`` of a tool as an exception, in terms of the user's files; None if there is none.

    Args:
        tool: its name.
        said: what it printed.
        shown: the user's name of each file by the name that the tool knows.
    """
    found = _COMPLAINT.search(said)
    if found is None:
        return None
    reason, file, line = found["reason"].strip(), found["file"], found["line"]
    if file is None and (place := _PLACE.search(reason)):
        file, line = place["file"], place["line"]
    if file is None and len(shown) == 1:
        file = next(iter(shown))
    if line is None and (place := _LINE.search(reason)):
        line = place["line"]
    for internal, users in shown.items():
        reason = re.sub(rf"(?<![\w.]){re.escape(internal)}(?!\w)", lambda _, name=users: name, reason)
    named = None if file is None else shown.get(file, file)
    return ToolInputError(tool, reason, named, None if line is None or named is None else int(line))


def _output(tool: Tool, path: Path, said: str) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise ToolRunError(f"{tool.identity} ended without writing {path.name}; {_tail(said)}")
    return path.read_bytes()


def _text(path: Path) -> str:
    """The end of a file of text."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode("utf-8", errors="replace")


def _tail(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return "it printed: " + " | ".join(lines[-_TAIL_LINES:]) if lines else "it printed nothing"
