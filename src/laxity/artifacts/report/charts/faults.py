"""Quality under bit errors, for the original, the exact 8-bit and the approximated network."""

from __future__ import annotations

import math

from laxity.artifacts.page.chart import Chart, Json, axis, layout, legend_above, note, plain
from laxity.artifacts.report.load import RunView
from laxity.core.records import Reliability

CURVES = (
    ("original", "original", "@ink", "dot", "square"),
    ("int8_exact", "exact INT8", "@exact", "dash", "diamond"),
    ("approximated", "approximated", "@cross", "solid", "circle"),
)


def fault_chart(view: RunView) -> Chart:
    """Quality against bit error rate (logarithmic) with interval bands; rate 0 stands left of the smallest rate."""
    title = "Quality under random bit errors"
    campaigns = [(c, list(getattr(view.details.faults, c[0]))) for c in CURVES]
    rates = [r.rate_per_bit for _, items in campaigns for r in items if r.rate_per_bit > 0]
    if not rates:
        return Chart(
            "faults", title, None, empty="No fault campaign was run, so reliability under bit errors is unknown."
        )
    first = math.floor(math.log10(min(rates)))
    zero = any(r.rate_per_bit == 0 for _, items in campaigns for r in items)
    traces = [t for curve, items in campaigns if items for t in _curve(curve, items, 10.0 ** (first - 1))]
    metric = view.front.baseline.quality.metric
    exponents = range(first, math.ceil(math.log10(max(rates))) + 1)
    ticks = [10.0**e for e in exponents]
    words = [f"10<sup>{e}</sup>".replace("-", "−") for e in exponents]
    if zero:
        ticks, words = [10.0 ** (first - 1), *ticks], ["0", *words]
    figure: Json = {
        "data": traces,
        "layout": layout(
            xaxis=axis("bit error rate (errors per stored bit)", type="log", tickvals=ticks, ticktext=words),
            yaxis=axis(f"{metric} under faults", tickformat=".0%", rangemode="tozero"),
            showlegend=True,
            legend=legend_above(),
            margin={"l": 56, "r": 16, "t": 40, "b": 48},
        ),
    }
    if view.front.baseline.quality.metric == "accuracy" and (chance := _chance(view)):
        figure["layout"]["annotations"] = [
            note("guessing", xref="paper", x=1, y=chance, xanchor="right", yanchor="bottom")
        ]
    return Chart("faults", title, figure, height=420)


def _chance(view: RunView) -> float | None:
    """Accuracy of a random guess, where the run states the number of classes."""
    classes = view.manifest.options.get("classes")
    return 1 / classes if isinstance(classes, int) and classes > 1 else None


def _curve(curve: tuple[str, str, str, str, str], items: list[Reliability], zero_at: float) -> list[Json]:
    _, name, colour, dash, symbol = curve
    ordered = sorted(items, key=lambda r: r.rate_per_bit)
    x = [r.rate_per_bit if r.rate_per_bit > 0 else zero_at for r in ordered]
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": x + x[::-1],
        "y": [r.high for r in ordered] + [r.low for r in reversed(ordered)],
        "fill": "toself",
        "fillcolor": f"{colour}/18",
        "line": {"width": 0},
        "legendgroup": name,
        "showlegend": False,
        "hoverinfo": "skip",
    }
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "legendgroup": name,
        "x": x,
        "y": [r.value for r in ordered],
        "customdata": [[r.low, r.high, r.trials, r.samples, r.sdc, plain(f"{r.rate_per_bit:.3g}")] for r in ordered],
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 7, "symbol": symbol},
        "hovertemplate": f"<b>{name}</b> at rate %{{customdata[5]}}<br>%{{y:.2%}} (%{{customdata[0]:.2%}} to "
        + "%{customdata[1]:.2%})<br>changed predictions %{customdata[4]:.1%}<br>"
        + "%{customdata[2]} trials of %{customdata[3]} samples<extra></extra>",
    }
    return [band, line]
