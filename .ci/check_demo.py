"""Check what `make demo` left behind: files, figures, the report in a browser, the same figures when recomputed."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

FILES = (
    "config.toml",
    "manifest.json",
    "evaluations.jsonl",
    "front.json",
    "report.html",
    "log.txt",
    "best/plan.json",
    "best/model.safetensors",
    "best/metrics.json",
)
LEVELS = ("data", "software", "hardware")
MAX_DROP = 0.01
MIN_EVALUATIONS = 60
TARGET_SECONDS = 120
RECOMPUTED = ("task", "target", "seed", "split", "samples", "baseline", "approximated", "drop", "energy_pj")

failures: list[str] = []


def check(holds: bool, what: str) -> None:
    """Print the outcome of one check and remember failures."""
    print(f"{'ok  ' if holds else 'FAIL'} {what}")
    if not holds:
        failures.append(what)


def main() -> int:
    """Run all checks on the run folder given as the only argument."""
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    for name in FILES:
        file = run / name
        check(file.is_file() and file.stat().st_size > 0, f"{name} exists and is not empty")
    verilog = sorted((run / "best" / "rtl").glob("*.v"))
    vectors = sorted((run / "best" / "rtl" / "vectors").glob("*.hex"))
    check(bool(verilog) and bool(vectors), f"Verilog ({len(verilog)} files) and test vectors ({len(vectors)} files)")
    if failures:
        return 1
    metrics = json.loads((run / "best" / "metrics.json").read_text())
    check_metrics(metrics)
    check_recomputed(run, metrics)
    check_report(run)
    print(f"\n{len(failures)} failed" if failures else "\nall checks of the demo passed")
    return 1 if failures else 0


def check_metrics(metrics: dict[str, Any]) -> None:
    """Names, ranges, and what the demo promises. The time is reported, not judged: machines differ."""
    for side in ("baseline", "approximated"):
        q = metrics[side]
        check(
            0 <= q["low"] <= q["value"] <= q["high"] <= 1,
            f"{side}: {q['value']:.4f} in {q['low']:.4f}..{q['high']:.4f}",
        )
    drop, energy, cross = metrics["drop"], metrics["energy_pj"], metrics["cross_level"]
    difference = metrics["baseline"]["value"] - metrics["approximated"]["value"]
    check(math.isclose(drop, difference, abs_tol=1e-9), "drop is the difference of the two accuracies")
    check(metrics["split"] == "test" and metrics["samples"] > 0, f"judged on {metrics['samples']} test samples")
    check(drop <= MAX_DROP, f"drop {drop:.4f} <= {MAX_DROP}")
    check(math.isclose(energy["ratio"], energy["approximated"] / energy["int8_exact"]), f"ratio {energy['ratio']:.4f}")
    for level in LEVELS:
        single = metrics["single_level"][level]
        check(single is None or cross < single, f"cross-level {cross:.4f} < {level} alone {single}")
    check(metrics["evaluations"] >= MIN_EVALUATIONS, f"{metrics['evaluations']} evaluations >= {MIN_EVALUATIONS}")
    seconds = metrics["seconds"]
    print(f"info {seconds:.1f} s for the run; the target on 2 cores is {TARGET_SECONDS} s for the whole command")


def check_recomputed(run: Path, metrics: dict[str, Any]) -> None:
    """`laxity evaluate` must find the same figures from the saved plan and weights."""
    program = Path(sys.executable).with_name("laxity")
    command = [str(program), "evaluate", str(run / "best"), "--split", "test", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"laxity evaluate exits with {done.returncode}")
    if done.returncode != 0:
        print(done.stderr)
        return
    again = json.loads(done.stdout)
    for key in RECOMPUTED:
        check(again.get(key) == metrics[key], f"laxity evaluate gives the same {key}")


def check_report(run: Path) -> None:
    """The report must open without console errors, fetch nothing, and draw its charts."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    chromium = os.environ.get("LAXITY_CHROMIUM") or next(filter(None, found), None)
    if chromium is None:
        print("SKIPPED the report in a browser: no Chromium here (install one, or set LAXITY_CHROMIUM)")
        return
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else errors.append(r.url))
        page.goto((run / "report.html").resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        charts = page.locator(".chart svg.main-svg").count()
        browser.close()
    check(not errors, f"the report opens in Chromium without errors {errors[:3] or ''}")
    check(charts > 0, f"{charts} drawings in the report")


if __name__ == "__main__":
    sys.exit(main())
