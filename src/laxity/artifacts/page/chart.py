"""What all charts share: the chart value, axes, and text that cannot become markup.

Figures are plain plotly JSON. Colours are written as ``@name`` or ``@name/30`` (30 % opaque); the page replaces them by
the style sheet's variables, so one figure serves the light and the dark theme.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from laxity.artifacts.page.inline import script_json

Json = dict[str, Any]

LEVEL_COLOURS = {"data": "@data", "software": "@software", "hardware": "@hardware", "cross": "@cross"}
LEVEL_SYMBOLS = {"data": "circle", "software": "square", "hardware": "diamond", "cross": "star"}
COMPONENT_COLOURS = 9


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of the page.

    Attributes:
        name: identifier in the page.
        title: accessible title.
        figure: plotly JSON, or None where there is nothing to draw.
        height: in CSS pixels.
        min_width: below this width in CSS pixels the chart scrolls in its own container; 0 lets it shrink.
        empty: the sentence shown instead of an empty chart.
    """

    name: str
    title: str
    figure: Json | None
    height: int = 380
    min_width: int = 0
    empty: str = ""

    def drawn(self) -> tuple[Chart, Markup | None]:
        """The chart with its figure as templates put it into the page, None where there is nothing to draw."""
        return self, None if self.figure is None else script_json(self.figure)


def plain(text: str) -> str:
    """Text that plotly shows as it is; without this, plotly would read tags in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(text: str, limit: int = 20) -> str:
    """A label of at most `limit` characters, cut after two thirds, safe for plotly."""
    if len(text) <= limit:
        return plain(text)
    head = 2 * limit // 3
    return plain(text[:head] + "…" + text[-(limit - 1 - head) :])


def distinct(names: Iterable[str], limit: int = 20) -> list[str]:
    """Short labels that stay different from each other."""
    labels: list[str] = []
    for index, name in enumerate(names):
        label = short(name, limit)
        labels.append(label if label not in labels else f"{label} #{index + 1}")
    return labels


def axis(title: str, **more: Any) -> Json:
    """An axis with a title and quiet lines."""
    return {
        "title": {"text": title, "standoff": 10, "font": {"size": 13, "color": "@muted"}},
        "gridcolor": "@grid",
        "linecolor": "@rule",
        "tickcolor": "@rule",
        "zeroline": False,
        "automargin": True,
        **more,
    }


def layout(**more: Any) -> Json:
    """The layout of every chart: transparent, small margins, themed text."""
    return {
        "autosize": True,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": "@ink"},
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "hoverlabel": {"bgcolor": "@surface", "bordercolor": "@rule", "font": {"color": "@ink"}, "align": "left"},
        "showlegend": False,
        **more,
    }


def legend_above() -> Json:
    """A horizontal legend at the top of the chart."""
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "yref": "container",
        "y": 1,
        "yanchor": "top",
        "bgcolor": "rgba(0,0,0,0)",
    }


def note(text: str, **more: Any) -> Json:
    """A small annotation without arrow."""
    return {"text": text, "showarrow": False, "font": {"size": 12, "color": "@muted"}, **more}
