"""Charts of studies: treatments side by side, the ladder, the ranking."""

from __future__ import annotations

from laxity.artifacts.page.chart import Chart, Json, axis, layout, note, plain
from laxity.artifacts.recovery.load import ComparisonFile, Judged, LadderFile, RankedRow, RankingFile, TreatedRow

_ROW = 34


def treatments_chart(file: ComparisonFile) -> Chart:
    """Accuracy of each treatment: seeds as small dots, mean with its spread, on the test split; validation hollow."""
    title = "Accuracy before and after each treatment"
    rows = [file.before, *file.after][::-1]
    names = [plain(row.name) for row in rows]
    seeds = [(name, value) for name, row in zip(names, rows, strict=True) for value in row.test.values]
    data: list[Json] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [value for _, value in seeds],
            "y": [name for name, _ in seeds],
            "marker": {"size": 6, "color": "@muted/45"},
            "hovertemplate": "<b>%{y}</b><br>one seed: %{x:.2%}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [row.validation.mean for row in rows],
            "y": names,
            "marker": {
                "size": 11,
                "symbol": "circle-open",
                "color": "@muted",
                "line": {"width": 1.5, "color": "@muted"},
            },
            "hovertemplate": "<b>%{y}</b><br>validation %{x:.2%}<extra></extra>",
        },
        _means(rows, names, file.best),
    ]
    low, high, near = _range(file)
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=axis("accuracy", tickformat=".1~%", range=[low, high]),
            yaxis=axis("", showgrid=True, ticklabelstandoff=6, range=[-0.7, len(rows) - 0.3]),
            margin={"l": 20, "r": 16, "t": 56, "b": 48},
            **_references(file),
        ),
        "views": {"axis": "xaxis", "all": [low, high], "near": [near, high]},
    }
    return Chart("treatments", title, figure, height=130 + _ROW * len(rows), min_width=520)


def _means(rows: list[TreatedRow], names: list[str], best: str) -> Json:
    colours = ["@cross" if row.name == best else "@bad" if row is rows[-1] else "@data" for row in rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [row.test.mean for row in rows],
        "y": names,
        "customdata": [[100 * row.drop.mean, 100 * row.drop_from_exact.mean, row.energy_ratio] for row in rows],
        "marker": {"size": 13, "color": colours, "line": {"width": 1, "color": "@paper"}},
        "error_x": {
            "type": "data",
            "array": [row.test.spread or 0 for row in rows],
            "color": "@muted",
            "thickness": 1.6,
            "width": 5,
        },
        "hovertemplate": "<b>%{y}</b><br>test %{x:.2%}<br>%{customdata[0]:.2f} points below the original"
        + "<br>%{customdata[1]:.2f} points below exact circuits<br>energy ratio %{customdata[2]:.3f}<extra></extra>",
    }


def _range(file: ComparisonFile) -> tuple[float, float, float]:
    """Low and high end of all that is drawn, and low end of what training reached."""
    high = max(file.original.test, file.exact.test.mean, *(v for row in file.after for v in row.test.values))
    rows = [file.before, *file.after]
    low = min(min(*row.test.values, row.validation.mean) for row in rows)
    trained = [row for row in file.after if any(row.curves)] or file.after or [file.before]
    near = min(min(*row.test.values, row.validation.mean) for row in trained)
    pad, close = 0.04 * (high - low) or 0.01, 0.08 * (high - near) or 0.01
    return max(low - pad, -0.01), min(high + pad, 1.01), near - close


def _references(file: ComparisonFile) -> Json:
    """Lines of the original network, of exact circuits and of the untreated plan, their names on different heights."""
    marks = (
        ("original", file.original.test, "@ink", "dot", 0, "right"),
        (f"exact circuits, {plain(file.operands)}", file.exact.test.mean, "@good", "dash", 17, "right"),
        ("untreated", file.before.test.mean, "@bad", "dash", 0, "left"),
    )
    across = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    shapes = [{**across, "x0": x, "x1": x, "line": {"color": c, "width": 1.3, "dash": d}} for _, x, c, d, _, _ in marks]
    words = [
        note(name, x=x, y=1, yref="paper", yanchor="bottom", yshift=lift, xanchor=anchor, font={"size": 12, "color": c})
        for name, x, c, _, lift, anchor in marks
    ]
    return {"shapes": shapes, "annotations": words}


def ladder_chart(file: LadderFile) -> Chart:
    """Accuracy untreated (hollow) and treated (filled) against the energy of the whole network, on validation."""
    title = "Every multiplier, untreated and treated"
    if not file.rungs:
        return Chart("ladder", title, None, empty="No multiplier saves energy in this network.")
    treated = [(r, r.after) for r in file.rungs if r.after is not None]
    before = [(r.name, r.before) for r in file.rungs]
    budget = file.original.validation - file.max_drop
    chosen = [(r, after) for r, after in treated if r.name == file.chosen]
    links = [{"x": [r.energy_ratio] * 2, "y": [r.before.accuracy, a.accuracy]} for r, a in treated]
    data: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "line": {"width": 1, "color": "@grid"},
            "x": [v for link in links for v in (*link["x"], None)],
            "y": [v for link in links for v in (*link["y"], None)],
            "hoverinfo": "skip",
        },
        _dots("untreated", before, "circle-open", "@exact"),
        _dots("treated, within", [(r.name, a) for r, a in treated if r.accepted], "circle", "@data"),
        _dots("treated, over the budget", [(r.name, a) for r, a in treated if not r.accepted], "circle", "@bad"),
        _dots("chosen", [(r.name, a) for r, a in chosen], "circle", "@cross", 15),
    ]
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    labels = [
        note("budget", x=0, xref="paper", xanchor="left", y=budget, yanchor="top", font={"size": 12, "color": "@bad"}),
        *(_arrow(plain(r.name), r.energy_ratio, a.accuracy) for r, a in chosen),
    ]
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=axis(
                "energy per sample, relative to the exact 8-bit network", tickformat=".0%", autorange="reversed"
            ),
            yaxis=axis("accuracy, validation", tickformat=".0%"),
            shapes=[{**line, "y0": budget, "y1": budget, "line": {"color": "@bad", "width": 1.2, "dash": "dash"}}],
            annotations=labels,
            hovermode="closest",
        ),
        "views": {"axis": "yaxis", **_heights(file)},
    }
    return Chart("ladder", title, figure, height=420)


def _heights(file: LadderFile) -> dict[str, list[float]]:
    """Ranges of accuracy: of all that is drawn, and of the treated networks."""
    budget = file.original.validation - file.max_drop
    treated = [rung.after.accuracy for rung in file.rungs if rung.after is not None]
    every = [file.original.validation, budget, *treated, *(rung.before.accuracy for rung in file.rungs)]
    top, low, near = max(every), min(every), min([budget, *treated])
    return {
        "all": [low - 0.05 * (top - low), top + 0.05 * (top - low)],
        "near": [near - 0.1 * (top - near), top + 0.1 * (top - near)],
    }


def _arrow(text: str, x: float, y: float) -> Json:
    return {
        "text": f"<b>{text}</b>",
        "x": x,
        "y": y,
        "showarrow": True,
        "arrowhead": 0,
        "arrowwidth": 1,
        "arrowcolor": "@muted",
        "standoff": 9,
        "ax": -46,
        "ay": 46,
        "font": {"size": 13, "color": "@cross"},
    }


def _dots(name: str, rows: list[tuple[str, Judged]], symbol: str, colour: str, size: int = 10) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [judged.energy_ratio for _, judged in rows],
        "y": [judged.accuracy for _, judged in rows],
        "text": [plain(label) for label, _ in rows],
        "customdata": [[100 * judged.drop] for _, judged in rows],
        "marker": {"size": size, "symbol": symbol, "color": colour, "line": {"width": 1.4, "color": colour}},
        "hovertemplate": "<b>%{text}</b>, "
        + name
        + "<br>%{y:.2%}, %{customdata[0]:.2f} points lost<br>energy %{x:.1%}<extra></extra>",
    }


def ranking_chart(file: RankingFile) -> Chart:
    """Predicted divergence against the energy of the circuit; the line joins those that no other beats."""
    title = "Predicted harm against the energy of the circuit"
    known = [row for row in file.rows if row.energy_pj is not None]
    if not known:
        return Chart(
            "ranking", title, None, empty="Of no multiplier here is a netlist known, so there are no energies."
        )
    best = front(known)
    floor = min((row.divergence for row in known if row.divergence > 0), default=1e-9)
    data: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [row.energy_pj for row in best],
            "y": [max(row.divergence, floor) for row in best],
            "line": {"shape": "hv", "color": "@muted/70", "width": 1.5},
            "hoverinfo": "skip",
        },
        _cloud([row for row in known if row not in best], "@data/45", 8, floor),
        _cloud(best, "@cross", 11, floor),
    ]
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=axis("energy of the circuit per operation (pJ)", rangemode="tozero"),
            yaxis=axis("predicted divergence (nats)", type="log", dtick=1, exponentformat="power"),
            hovermode="closest",
        ),
    }
    return Chart("ranking", title, figure, height=440)


def front(rows: list[RankedRow]) -> list[RankedRow]:
    """Rows that no other beats in energy and divergence, cheapest first."""
    found: list[RankedRow] = []
    for row in sorted(rows, key=lambda r: (r.energy_pj or 0, r.divergence)):
        if not found or row.divergence < found[-1].divergence:
            found.append(row)
    return found


def _cloud(rows: list[RankedRow], colour: str, size: int, floor: float) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [row.energy_pj for row in rows],
        "y": [max(row.divergence, floor) for row in rows],
        "text": [plain(row.name) for row in rows],
        "customdata": [[100 * row.accuracy_drop, 100 * row.mred, row.area_um2] for row in rows],
        "marker": {"size": size, "color": colour, "line": {"width": 0.5, "color": "@paper"}},
        "hovertemplate": "<b>%{text}</b><br>divergence %{y:.3~g} nats<br>predicted drop %{customdata[0]:.2f} points"
        + "<br>mean relative error %{customdata[1]:.2f} %<br>%{x:.3f} pJ, %{customdata[2]:.0f} µm²<extra></extra>",
    }
