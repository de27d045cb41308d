"""Numbers and sentences say what the run says, good news or bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laxity.artifacts.page import numbers
from laxity.artifacts.report import wording
from laxity.artifacts.report.load import load_run

T = numbers.THIN


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 4, "0"),
        (None, 4, "–"),
        (1234567, 4, f"1{T}234{T}567"),
        (0.37891, 3, "0.379"),
        (-12.5, 4, "−12.5"),
        (100, 4, "100"),
        (0.00012, 4, "0.00012"),
        (3.2e-7, 4, "3.20·10⁻⁷"),
    ],
)
def test_number(value: float | None, digits: int, text: str) -> None:
    assert numbers.number(value, digits) == text


@given(st.floats(1e-3, 1e11))
def test_number_keeps_its_digits(value: float) -> None:
    read = float(numbers.number(value, 6).replace(T, ""))
    assert read == pytest.approx(value, rel=5e-6)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (950.0, "pJ", f"950{T}pJ"),
        (2_189_952.0, "pJ", f"2.19{T}µJ"),
        (4.1e15, "pJ", f"4{T}100{T}J"),
        (310_000, "um2", f"310{T}000{T}µm²"),
        (2.5e6, "um2", f"2.5{T}mm²"),
        (415_872, "bit", f"415.9{T}kbit"),
        (61_440, "cycles", f"61{T}440{T}cycles"),
    ],
)
def test_quantity(value: float, unit: str, text: str) -> None:
    assert numbers.quantity(value, unit) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, f"0.4{T}s"), (84.2, f"1{T}min 24{T}s"), (7_500, f"2{T}h 5{T}min")])
def test_duration(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_points() -> None:
    assert [numbers.points(v) for v in (0.01, -0.004, 0.0037, 0)] == [
        "1 point",
        "0.4 points",
        "0.37 points",
        "0 points",
    ]
    assert numbers.signed_points(-0.0045) == "−0.45"


@pytest.mark.parametrize(
    ("ratio", "drop", "met", "sentence"),
    [
        (0.39, 0.004, True, f"61{T}% less energy at 0.4 points lower accuracy; the budget of 1 point is met."),
        (0.39, 0.04, False, f"61{T}% less energy at 4 points lower accuracy; the budget of 1 point is not met."),
        (1.12, -0.002, True, f"12{T}% more energy at 0.2 points higher accuracy; the budget of 1 point is met."),
        (1.0, 0.0, True, "The same energy at unchanged accuracy; the budget of 1 point is met."),
    ],
)
def test_verdict(run_folder: Path, edit, ratio: float, drop: float, met: bool, sentence: str) -> None:
    def change(metrics: dict) -> None:
        metrics["energy_pj"]["ratio"] = ratio
        metrics |= {"drop": drop, "met": met}

    edit(run_folder / "best/metrics.json", change)
    assert wording.verdict(load_run(run_folder)) == sentence


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(-0.001, 0.01, "wholly inside"), (0.002, 0.012, "crosses the budget"), (0.011, 0.02, "wholly outside")],
)
def test_caution(run_folder: Path, edit, low: float, high: float, words: str) -> None:
    edit(run_folder / "best/metrics.json", lambda m: m.update(drop_interval={"low": low, "high": high}))
    assert words in wording.caution(load_run(run_folder))


def _levels(**ratios: float | None) -> dict:
    form = {"plan_key": "k", "quality": 0.97, "drop": 0.005, "met": True, "label": "plan"}
    return {name: None if r is None else {**form, "energy_ratio": r} for name, r in ratios.items()}


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (_levels(data=0.8, software=0.7, hardware=0.9, cross=0.35), f"(software) 30{T}% less energy"),
        (
            _levels(data=0.8, software=0.7, hardware=0.9, cross=0.35),
            f"thus takes 50{T}% less energy than staying on one",
        ),
        (_levels(data=0.5, software=0.7, cross=0.5), "gained nothing"),
        (_levels(data=0.5, cross=0.6), "gained nothing"),
        (_levels(data=None, cross=0.6), "Only crossing levels met the budget"),
        (_levels(data=0.6, cross=None), f"best single level is data with 40{T}% less"),
        ({}, "No plan of any level"),
    ],
)
def test_comparison(run_folder: Path, edit, levels: dict, words: str) -> None:
    edit(run_folder / "front.json", lambda front: front.update(levels=levels))
    assert words in wording.comparison(load_run(run_folder))


def test_plan_over_budget_does_not_count(run_folder: Path, edit) -> None:
    levels = _levels(data=0.8, cross=0.2)
    levels["cross"]["met"] = False
    edit(run_folder / "front.json", lambda front: front.update(levels=levels))
    assert wording.comparison(load_run(run_folder)).startswith("No cross-layer plan met the budget")
