"""A picture of savings: on uniform operands without glitches against operands of a network with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

WIDTH, LEFT, PANEL, GAP, ROW, TOP = 980, 110, 385, 60, 23, 84
PAPER, GOOD, BAD, TEXT, LINE = "#8a8f98", "#1f6feb", "#d1242f", "#1f2328", "#d0d7de"
SCOPES = (("alone", "multiplier alone", (-2.5, 1.0), 0.5), ("element", "processing element", (-0.6, 0.4), 0.2))


def figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """SVG with one panel for the multiplier alone and one for the processing element.

    Args:
        rows: multipliers with savings as fractions, the exact one first; sorted by the saving that is real.
    """
    order = sorted(rows[1:], key=lambda r: -r["alone"]["trace/inertial"]["mean"])
    height = TOP + ROW * len(order) + 58
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{TEXT}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="600">Energy saved against exact (Dadda)</text>',
    ]
    parts += _legend()
    for i, r in enumerate(order):
        y = TOP + ROW * i + ROW / 2
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{r["name"]}</text>')
    for k, (scope, title, limits, step) in enumerate(SCOPES):
        parts += _panel(order, scope, title, limits, step, LEFT + k * (PANEL + GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    entries = (
        (
            f'<circle cx="0" cy="0" r="4.5" fill="none" stroke="{PAPER}" stroke-width="2"/>',
            "uniform operands, no glitches",
        ),
        (f'<circle cx="0" cy="0" r="5" fill="{GOOD}"/>', "operands of the network, glitches: saves"),
        (f'<circle cx="0" cy="0" r="5" fill="{BAD}"/>', "takes more than exact"),
        (f'<line x1="-9" x2="9" y1="0" y2="0" stroke="{LINE}" stroke-width="7"/>', "range over layers"),
    )
    parts, x = [], LEFT + 6.0
    for mark, text in entries:
        parts.append(f'<g transform="translate({x},44)">{mark}<text x="13" y="4">{text}</text></g>')
        x += 40 + 6.4 * len(text)
    return parts


def _panel(
    rows: Sequence[Mapping[str, Any]], scope: str, title: str, limits: tuple[float, float], step: float, left: float
) -> list[str]:
    low, high = limits
    bottom = TOP + ROW * len(rows)

    def place(value: float) -> float:
        return left + PANEL * (min(max(value, low), high) - low) / (high - low)

    parts = [f'<text x="{left}" y="{TOP - 10}" font-weight="600">{title}</text>']
    for i in range(round((high - low) / step) + 1):
        tick = low + i * step
        x, zero = place(tick), abs(tick) < 1e-9
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="{TEXT if zero else LINE}" '
            f'stroke-width="{1.2 if zero else 0.6}"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{100 * tick:.0f} %</text>')
    for i, r in enumerate(rows):
        parts += _marks(r[scope], place, TOP + ROW * i + ROW / 2, low)
    return parts


def _marks(savings: Mapping[str, Any], place: Callable[[float], float], y: float, low: float) -> list[str]:
    paper, real = savings["uniform/zero"]["mean"], savings["trace/inertial"]
    colour = GOOD if real["mean"] > 0 else BAD
    parts = [
        f'<line x1="{place(real["low"]):.1f}" x2="{place(real["high"]):.1f}" y1="{y}" y2="{y}" stroke="{LINE}" '
        'stroke-width="7"/>',
        f'<line x1="{place(paper):.1f}" x2="{place(real["mean"]):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
        'stroke-width="1.5"/>',
        f'<circle cx="{place(real["mean"]):.1f}" cy="{y}" r="5" fill="{colour}"/>',
        f'<circle cx="{place(paper):.1f}" cy="{y}" r="4.5" fill="none" stroke="{PAPER}" stroke-width="2"/>',
    ]
    if real["mean"] < low:
        parts.append(f'<text x="{place(low) + 9:.1f}" y="{y - 5}" font-size="10">{100 * real["mean"]:.0f} %</text>')
    return parts
