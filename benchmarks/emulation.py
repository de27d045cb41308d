"""How fast layers and networks compute with an approximate multiplier, against float32 by torch.

Native and emulated passes are timed in turns in one process, each in both memory layouts, and the shortest times of the
fastest layouts are compared. Quantising and scaling are part of every emulated pass, which starts from float32 and ends
in float32. The results of every row are checked bit for bit.

Usage: ``python benchmarks/emulation.py [--json] [--cases NAME,...] [--threads N,...] [--quick]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from speed.cases import CASES, Case, Row, UnavailableError
from speed.measure import Settings, measure
from speed.report import document, machine, summary, text

from laxity.kernels import native


def main() -> None:
    """Measure what the options ask for and print it."""
    options = _options()
    settings = Settings(tuple(options.threads), options.quick)
    state = machine()
    rows: list[Row] = []
    notes: list[str] = []
    for name in options.cases:
        case = CASES[name]
        print(f"{case.title} ...", file=sys.stderr, flush=True)
        try:
            rows += (
                _elsewhere(name, case, settings) if case.isa not in {"", native.level()} else measure(case, settings)
            )
        except UnavailableError as error:
            notes.append(f"{case.title}: left out, because {error}")
    total = summary(rows, state, notes)
    print(json.dumps(document(rows, total)) if options.json else text(rows, total))
    if not total["all_exact"]:
        raise SystemExit("some results are not exact")


def _elsewhere(name: str, case: Case, settings: Settings) -> list[Row]:
    """The rows of a case for another instruction set, which is chosen once per process.

    Raises:
        UnavailableError: the machine does not have it.
    """
    if case.isa not in native.levels():
        raise UnavailableError(f"{case.isa} kernels are not available here")
    command = [sys.executable, str(Path(__file__).resolve()), "--json", "--cases", name]
    command += ["--threads", ",".join(map(str, settings.threads)), *(["--quick"] if settings.quick else [])]
    environment = {**os.environ, native.VARIABLE: case.isa}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"the process for {case.isa} ended with {done.returncode}")
    return [Row(**row) for row in json.loads(done.stdout)["rows"]]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument(
        "--cases", type=_names, default=list(CASES), help=f"some of {','.join(CASES)}; all if not given"
    )
    both = [1, 2][: os.cpu_count()]
    parser.add_argument("--threads", type=_counts, default=both, help="for example 1,2; up to 2 if not given")
    parser.add_argument("--quick", action="store_true", help="one small subject per case and few rounds")
    return parser.parse_args()


def _names(given: str) -> list[str]:
    names = given.split(",")
    for name in names:
        if name not in CASES:
            raise argparse.ArgumentTypeError(f"{name!r} is no case; choose from {', '.join(CASES)}")
    return names


def _counts(given: str) -> list[int]:
    counts = [int(part) if part.isdigit() else 0 for part in given.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{given!r} are no numbers of threads; write for example 1,2")
    return counts


if __name__ == "__main__":
    main()
