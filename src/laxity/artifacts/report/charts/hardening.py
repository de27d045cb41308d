"""Plans of a run before and after they were protected: energy against the share of faults."""

from __future__ import annotations

from laxity.artifacts.page.chart import Chart, Json, axis, layout, legend_above, note, plain
from laxity.artifacts.page.numbers import quantity
from laxity.artifacts.report.hardening import METRICS, HardenedPlan, Point, added, fraction, in_brief, interval
from laxity.artifacts.report.load import RunView


def hardening_chart(view: RunView) -> Chart:
    """Every plan that was hardened, without protections and with those that were kept; the limit is a line."""
    title = "Plans before and after they were protected"
    found = view.hardening
    if found is None or not found.plans:
        return Chart("hardening", title, None, empty="No plan was within the accuracy budget, so none was protected.")
    limit, chosen, plans = found.plans[0].limit, found.chosen, found.plans
    exact_pj = view.metrics.energy_pj.int8_exact or 1.0
    kept = [(plan, plan.kept) for plan in plans if plan.kept is not None]
    others = [(plan, point) for plan, point in kept if plan is not chosen]
    best = [(plan, point) for plan, point in kept if plan is chosen]
    failed = [(plan, point) for plan in plans if plan.kept is None for point in plan.tried]
    groups = [
        ("without protections", [(p, p.unprotected) for p in plans], "diamond", "@exact", 11),
        ("not accepted", failed, "circle-open", "@muted", 9),
        ("with protections", others, "circle", "@good", 11),
        ("chosen", best, "star", "@cross", 17),
    ]
    every = [point for _, pairs, *_ in groups for _, point in pairs]
    top = max(1.12 * max(p.share.high for p in every), 1.25 * limit.share)
    font = {"size": 12, "color": "@bad"}
    words = note(f"limit {fraction(limit.share)}", x=1, xref="paper", xanchor="right", y=limit.share, font=font)
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": limit.share, "y1": limit.share}
    data = [_joined(kept, exact_pj)]
    data += [
        _marks(name, pairs, symbol, colour, size, exact_pj) for name, pairs, symbol, colour, size in groups if pairs
    ]
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=axis("energy per sample, relative to exact INT8", tickformat=".3~%"),
            yaxis=axis(f"{METRICS[limit.metric]}, share of faults", tickformat=".2~%", range=[-0.03 * top, top]),
            shapes=[{**line, "line": {"color": "@bad", "width": 1.3, "dash": "dash"}}],
            annotations=[{**words, "yanchor": "bottom"}],
            margin={"l": 56, "r": 16, "t": 40, "b": 48},
            showlegend=True,
            legend=legend_above(),
            hovermode="closest",
        ),
    }
    return Chart("hardening", title, figure, height=400)


def _joined(kept: list[tuple[HardenedPlan, Point]], exact_pj: float) -> Json:
    """Thin lines from plans to their protected form."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for plan, p in kept for x in (plan.unprotected.energy_pj / exact_pj, p.energy_pj / exact_pj, None)],
        "y": [y for plan, p in kept for y in (plan.unprotected.share.estimate, p.share.estimate, None)],
        "line": {"width": 1.2, "color": "@rule"},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _marks(
    name: str, pairs: list[tuple[HardenedPlan, Point]], symbol: str, colour: str, size: int, exact_pj: float
) -> Json:
    edge = {"width": 2, "color": colour} if symbol.endswith("-open") else {"width": 1, "color": "@paper"}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [point.energy_pj / exact_pj for _, point in pairs],
        "y": [point.share.estimate for _, point in pairs],
        "text": [_words(plan, point) for plan, point in pairs],
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": edge},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [point.share.high - point.share.estimate for _, point in pairs],
            "arrayminus": [point.share.estimate - point.share.low for _, point in pairs],
            "color": f"{colour}/80",
            "thickness": 1.6,
            "width": 4,
        },
        "hovertemplate": "%{text}<extra></extra>",
    }


def _words(plan: HardenedPlan, point: Point) -> str:
    value, between = interval(point.share)
    energy = f"{quantity(point.energy_pj, 'pJ')}, {added(point.energy_pj, plan.unprotected.energy_pj)}"
    lines = [f"<b>plan {plain(plan.plan_key)}</b>", plain(in_brief(point.protections))]
    return "<br>".join([*lines, f"{METRICS[plan.limit.metric]} {value} ({between})", f"energy {energy}"])
