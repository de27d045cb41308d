"""Charts of one circuit: its errors over the operands, how often they occur, its energy over the operands."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np

from laxity.artifacts.page.chart import Chart, Json, axis, layout, legend_above
from laxity.artifacts.page.numbers import number
from laxity.circuits.comparison import EnergyByOperand, ErrorBins, ErrorMap
from laxity.circuits.error_sums import FloatArray

_CLIP = 99.0  # percentile of the errors at which colours end: few large ones would else hide all others
_DIVERGING = [[0, "@minus2"], [0.25, "@minus1"], [0.5, "@zero"], [0.75, "@plus1"], [1, "@plus2"]]
_RISING = [[0, "@heat0"], [0.25, "@heat1"], [0.5, "@heat2"], [0.75, "@heat3"], [1, "@heat4"]]

Names = tuple[str, str]
"""What operands a and b are called."""


def packed(values: FloatArray) -> str:
    """Numbers as compressed 32-bit floats in base64; the page unpacks them."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values, dtype="<f4").tobytes(), 9)).decode()


def map_charts(name: str, found: ErrorMap, names: Names) -> tuple[Chart, Chart]:
    """Signed and relative error over the operands, as two heat maps.

    Args:
        name: identifier in the page, one for both charts.
        found: the map.
        names: what the operands are called.
    """
    mean = "" if found.block == 1 else "mean "
    if not found.signed.any():
        exact = "This circuit is exact: every result that was looked at is right."
        return Chart(f"{name}-signed", "Error", None, empty=exact), Chart(
            f"{name}-relative", "Error", None, empty=exact
        )
    reach = _limit(np.abs(found.signed))
    signed = _heat(
        found.signed,
        found.a,
        found.b,
        names,
        title=f"{mean}error",
        low=-reach,
        high=reach,
        scale=_DIVERGING,
        form=",.5~g",
    )
    highest = _limit(found.relative)
    relative = _heat(
        found.relative,
        found.a,
        found.b,
        names,
        title=f"{mean}relative error",
        low=0.0,
        high=highest,
        scale=_RISING,
        form=".3~%",
    )
    return (
        Chart(f"{name}-signed", f"Signed error of {name} over its operands", signed, height=400),
        Chart(f"{name}-relative", f"Relative error of {name} over its operands", relative, height=400),
    )


def _limit(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, _CLIP)) or float(finite.max()) or 1.0


def _heat(
    z: FloatArray,
    a: FloatArray,
    b: FloatArray,
    names: Names,
    *,
    title: str,
    low: float,
    high: float,
    scale: list[list[Any]],
    form: str,
) -> Json:
    return {
        "packed": packed(z),
        "data": [
            {
                "type": "heatmap",
                "x": b.tolist(),
                "y": a.tolist(),
                "zmin": low,
                "zmax": high,
                "colorscale": scale,
                "colorbar": {
                    "title": {"text": title, "side": "right", "font": {"size": 13, "color": "@muted"}},
                    "thickness": 9,
                    "outlinewidth": 0,
                    "nticks": 6,
                    "tickformat": "~%" if form.endswith("%") else "~s",
                },
                "hovertemplate": f"{names[0]} %{{y:,.6~g}}<br>{names[1]} %{{x:,.6~g}}<br>"
                f"{title} %{{z:{form}}}<extra></extra>",
                "hoverongaps": False,
            }
        ],
        "layout": layout(
            xaxis=axis(names[1], showgrid=False, nticks=6, constrain="domain", tickformat="~s"),
            yaxis=axis(names[0], showgrid=False, nticks=6, tickformat="~s"),
            margin={"l": 56, "r": 4, "t": 8, "b": 44},
        ),
    }


def bins_chart(name: str, bins: ErrorBins) -> Chart:
    """How often errors of each size occur; the share of exact results is told in words."""
    title = f"How often {name} errs by how much"
    if not bins.shares.size:
        return Chart(f"{name}-bins", title, None, empty="No operand pair that was looked at has a wrong result.")
    shown = bins.shares > 0
    middles = (bins.low + bins.high) / 2
    width = int(bins.high[0] - bins.low[0]) + 1
    spans = [_span(int(low), int(high)) for low, high in zip(bins.low, bins.high, strict=True)]
    lowest, highest = (float(f(np.log10(bins.shares[shown]))) for f in (np.min, np.max))
    bottom, top = math.floor(lowest - 0.1), math.ceil(highest)
    decades = range(bottom + 1, top + 1, 1 + (top - bottom) // 7)
    figure = {
        "data": [
            {
                "type": "bar",
                "x": middles[shown].tolist(),
                "y": bins.shares[shown].tolist(),
                "width": [0.92 * width] * int(shown.sum()),
                "text": [span for span, used in zip(spans, shown, strict=True) if used],
                "textposition": "none",
                "marker": {"color": ["@minus2" if m < 0 else "@plus2" for m in middles[shown]]},
                "hovertemplate": "error %{text}<br>%{y:.3~%} of operand pairs<extra></extra>",
            }
        ],
        "layout": layout(
            xaxis=axis(
                "error: approximate minus exact result", nticks=9, tickformat="~s", zeroline=True, zerolinecolor="@rule"
            ),
            yaxis=axis(
                "share of operand pairs",
                type="log",
                tickvals=[10.0**k for k in decades],
                ticktext=[f"{number(10.0 ** (k + 2), 2)}%" for k in decades],
                range=[bottom, top],
            ),
            margin={"l": 64, "r": 8, "t": 8, "b": 48},
            bargap=0,
        ),
    }
    return Chart(f"{name}-bins", title, figure, height=320)


def _span(low: int, high: int) -> str:
    first, last = number(float(low), 9), number(float(high), 9)
    return first if high == low else f"{first} to {last}"


def energy_charts(name: str, energy: EnergyByOperand, names: Names) -> tuple[Chart, Chart]:
    """Energy while one operand is held, and with both drawn from a part of their range."""
    curves = {
        "data": [
            _curve(energy.b, energy.b_held, f"{names[1]} held, {names[0]} uniform", "@data", "solid"),
            _curve(energy.a, energy.a_held, f"{names[0]} held, {names[1]} uniform", "@software", "dash"),
        ],
        "layout": layout(
            xaxis=axis("value of the operand that is held", nticks=7, tickformat="~s"),
            yaxis=axis("energy per operation (pJ)", rangemode="tozero", nticks=6),
            showlegend=True,
            legend=legend_above(),
            margin={"l": 56, "r": 8, "t": 52, "b": 48},
        ),
    }
    heat = _heat(
        energy.ranges,
        energy.a_ranges,
        energy.b_ranges,
        names,
        title="pJ per operation",
        low=0.0,
        high=float(energy.ranges.max()) or 1.0,
        scale=_RISING,
        form=".3~g",
    )
    heat["data"][0]["colorbar"]["tickformat"] = ".3~g"
    return (
        Chart(f"{name}-held", f"Energy of {name} with one operand held", curves, height=340),
        Chart(f"{name}-ranges", f"Energy of {name} by ranges of its operands", heat, height=340),
    )


def _curve(x: FloatArray, y: FloatArray, name: str, colour: str, dash: str) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x.tolist(),
        "y": [float(f"{v:.5g}") for v in y],
        "line": {"color": colour, "width": 2, "dash": dash},
        "hovertemplate": "%{x:,.6~g}: %{y:.3~g} pJ<extra>%{fullData.name}</extra>",
    }
