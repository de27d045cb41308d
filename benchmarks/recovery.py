"""How much accuracy treatments bring back behind one multiplier at every site: all treatments, multipliers and seeds.

Every cell of the table is one network, treated and judged on the test split, which nothing was chosen or trained by.
Finished cells are kept in the folder, unfinished trainings after every epoch: the same command goes on where it was
ended, and cells that are asked for later are added.

Usage: ``python benchmarks/recovery.py --out DIR [--json] [--task cifar10] [--data-dir DIR] [--weight-bits 8 4]
[--multipliers ...] [--treatments ...] [--seeds 3] [--epochs 3] [--samples 4096] [--workers 1]``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

from treatments.cells import EVOAPPROX, EXACT, MULTIPLIERS, Cell, Folder, cells, treatments
from treatments.table import summary, text
from treatments.work import Subject, Worker

from laxity.core.plan import Recovery
from laxity.core.serial import to_json, write_json
from laxity.evaluation.evaluator import versions


def main() -> None:
    """Measure the missing cells and print the table."""
    chosen = _options()
    recovery = Recovery(
        epochs=chosen.epochs,
        samples=chosen.samples,
        learning_rate=chosen.learning_rate,
        batch_size=chosen.batch_size,
        gradient=chosen.gradient,
    )
    known = treatments(recovery)
    settings = {"task": chosen.task, "test_samples": chosen.test_samples, "recovery": to_json(recovery)}
    folder = Folder(chosen.out, settings)
    subject = Subject(chosen.task, chosen.data_dir, chosen.test_samples, str(chosen.out))
    wanted = list(cells(range(chosen.seeds), chosen.weight_bits, chosen.treatments or list(known), chosen.multipliers))
    left = [cell for cell in wanted if cell not in folder.read()]
    for number, (cell, result) in enumerate(_run(subject, left, recovery, chosen.workers), 1):
        folder.add(cell, {**result, "versions": versions(), "command": sys.argv})
        place = f"{cell.multiplier}, {cell.weight_bits}-bit weights, {cell.treatment}, seed {cell.seed}"
        note(f"{number}/{len(left)} {place}: {100 * result['accuracy']:.2f} % ({result['cpu_s']:.0f} s)")
    found = folder.read()
    energies = _energies(folder, subject, chosen.weight_bits, chosen.multipliers)
    document = summary({c: found[c] for c in wanted}, energies, settings)
    print(json.dumps(document) if chosen.json else text(document))


def note(line: str) -> None:
    """What is going on."""
    print(line, file=sys.stderr, flush=True)


def _run(
    subject: Subject, left: Sequence[Cell], recovery: Recovery, workers: int
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Results as they come."""
    if workers == 1:
        for cell in left:
            yield cell, _cell(subject, cell, recovery)
        return
    with ProcessPoolExecutor(workers) as pool:
        waiting = {pool.submit(_cell, subject, cell, recovery): cell for cell in left}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@cache
def _worker(subject: Subject) -> Worker:
    return Worker(subject)


def _cell(subject: Subject, cell: Cell, recovery: Recovery) -> dict[str, Any]:
    return _worker(subject).run(cell, treatments(recovery)[cell.treatment])


def _energies(
    folder: Folder, subject: Subject, bits: Sequence[int], multipliers: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Kept in the folder beside the cells."""
    kept = folder.path / "energies.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    missing = [m for m in multipliers if any(f"{m} {b}" not in found for b in bits)]
    if missing:
        found |= _worker(subject).energies(bits, missing)
        write_json(kept, found)
    return {name: found[name] for name in found if name.split()[0] in multipliers}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps finished cells")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--data-dir", help="folder with data, and with evoapproxlib for the tables named mul8u_...")
    parser.add_argument("--weight-bits", type=int, nargs="+", default=[8, 4])
    parser.add_argument("--multipliers", nargs="+", default=list(MULTIPLIERS))
    parser.add_argument("--treatments", nargs="+", choices=list(treatments(Recovery(epochs=1))))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=4096, help="of each epoch; 0 for all")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--gradient", default="table_2d")
    parser.add_argument("--test-samples", type=int, default=0, help="0 for all")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    chosen = parser.parse_args()
    if EXACT in chosen.multipliers:
        parser.error(f"{EXACT} is in the table anyway; leave it out of --multipliers")
    if chosen.data_dir is None and any(m.startswith(EVOAPPROX) for m in chosen.multipliers):
        parser.error(f"the tables {EVOAPPROX}... are read from --data-dir; give it, or name other --multipliers")
    return chosen


if __name__ == "__main__":
    main()
