"""The written accelerator: cycles of its steps, area of its parts, energy of its steps."""

from __future__ import annotations

from laxity.artifacts.page.chart import Chart, Json, axis, distinct, layout, plain
from laxity.artifacts.report.charts.bars import bar, scale, stacked
from laxity.artifacts.report.load import RunView

UNWRITTEN = "No accelerator was written for this run; laxity rtl writes one."
UNMEASURED = "The accelerator was not put on 45 nm cells; laxity rtl with --silicon does it."
_ENERGIES = (
    ("clock_pj", "clock"),
    ("memory_pj", "memories"),
    ("leakage_pj", "leakage"),
    ("logic_glitch_pj", "logic, glitches included"),
)


def steps_chart(view: RunView) -> Chart:
    """Cycles of every step, with the utilisation at the end of each bar."""
    name, title = "steps", "Cycles of the steps of the accelerator"
    if view.accelerator is None:
        return Chart(name, title, None, empty=UNWRITTEN)
    steps = view.accelerator.facts.steps
    drawn = bar("cycles", 0, [float(s.cycles) for s in steps], list(range(len(steps))), "cycles per image")
    drawn |= {
        "hovertext": [f"{plain(s.name)} ({plain(s.kind)})" for s in steps],
        "text": [f"{100 * s.utilisation:.0f}\u202f%" if s.macs else "" for s in steps],
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"color": "@muted", "size": 12},
    }
    drawn["marker"]["color"] = ["@hardware" if s.macs else "@exact" for s in steps]
    figure = _rows(stacked([drawn], "clock cycles per image"), [s.name for s in steps])
    figure["layout"] |= {"showlegend": False}
    figure["layout"]["xaxis"]["range"] = [0, 1.12 * max([s.cycles for s in steps], default=1)]
    figure["layout"]["margin"]["t"] = 12
    return Chart(name, title, figure, height=90 + 30 * len(steps))


def _rows(figure: Json, names: list[str]) -> Json:
    """Name the rows of a figure, first on top."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": distinct(names, 22), "ticks": ""}
    figure["layout"]["yaxis"] |= {**ticks, "range": [len(names) - 0.4, -0.6]}
    return figure


def silicon_area_chart(view: RunView) -> Chart:
    """Area of the parts of the logic and of the memories."""
    name, title = "silicon-area", "Area of the accelerator by part"
    silicon = None if view.accelerator is None else view.accelerator.silicon
    if silicon is None:
        return Chart(name, title, None, empty=UNMEASURED)
    found = [(p.name, p.area_um2, "logic") for p in silicon.parts]
    found += [(m.name, m.area_um2, "memory") for m in silicon.memories]
    found.sort(key=lambda part: -part[1])
    drawn = {
        "type": "bar",
        "orientation": "h",
        "x": [area for _, area, _ in found],
        "y": list(range(len(found))),
        "hovertext": [f"{plain(part)} ({kind})" for part, _, kind in found],
        "marker": {"color": ["@hardware" if kind == "logic" else "@data" for _, _, kind in found]},
        "hovertemplate": "%{hovertext}<br>%{x:,.0f} µm²<extra></extra>",
    }
    figure: Json = {
        "data": [drawn],
        "layout": layout(
            bargap=0.3,
            xaxis=axis("area (µm²)", tickformat="~s"),
            yaxis=axis("", showgrid=False),
            margin={"l": 20, "r": 16, "t": 8, "b": 48},
        ),
    }
    return Chart(name, title, _rows(figure, [part for part, _, _ in found]), height=90 + 26 * len(found))


def silicon_energy_chart(view: RunView) -> Chart:
    """Energy of every step on 45 nm cells by cause, with the interval of what glitches make uncertain."""
    name, title = "silicon-energy", "Energy of the steps of the accelerator on 45 nm cells"
    silicon = None if view.accelerator is None else view.accelerator.silicon
    if silicon is None:
        return Chart(name, title, None, empty=UNMEASURED)
    steps = silicon.steps
    factor, unit = scale([s.energy_pj for s in steps], "pJ")
    rows = list(range(len(steps)))
    bars = []
    for index, (key, label) in enumerate(_ENERGIES):
        drawn = bar(label, index, [getattr(s, key) * factor for s in steps], rows, f"{unit} per image")
        bars.append({**drawn, "hovertext": [plain(s.name) for s in steps]})
    bars[-1]["error_x"] = {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, s.logic_glitch_high_pj - s.logic_glitch_pj) * factor for s in steps],
        "arrayminus": [max(0.0, s.logic_glitch_pj - s.logic_glitch_low_pj) * factor for s in steps],
        "color": "@ink",
        "thickness": 1.2,
        "width": 3,
    }
    figure = _rows(stacked(bars, f"energy per image ({unit})"), [s.name for s in steps])
    return Chart(name, title, figure, height=130 + 30 * len(steps))
