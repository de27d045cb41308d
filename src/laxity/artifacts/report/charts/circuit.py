"""Error heat map of an approximate multiplier over its operands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from laxity.artifacts.page.chart import Chart, Json, axis, layout
from laxity.artifacts.report.load import CircuitUse
from laxity.core.errors import LaxityError

SIDE = 64

FloatArray = npt.NDArray[np.float64]


def circuit_chart(use: CircuitUse, index: int) -> Chart:
    """Mean error (product minus exact product) over blocks of operand values, at most 64 x 64 blocks.

    The product table is rebuilt from the catalogue and drawn only if its hash is the one recorded in the run.
    """
    name, title = f"circuit-{index}", f"Error of {use.name} over its operands"
    from laxity.circuits import catalogue

    try:
        multiplier = catalogue.get(use.name)
    except LaxityError as error:
        return Chart(name, title, None, empty=f"No error map: {error}.")
    if multiplier.table_sha256 != use.table_sha256:
        text = "No error map: the catalogue of this laxity builds another table under this name than the run used."
        return Chart(name, title, None, empty=text)
    rows, columns = np.argsort(multiplier.a_values()), np.argsort(multiplier.b_values())
    error_table = (multiplier.table - multiplier.exact_table())[np.ix_(rows, columns)].astype(np.float64)
    if not error_table.any():
        text = "This circuit is exact: every product is right, so there is no error map."
        return Chart(name, title, None, empty=text)
    a, b = multiplier.a_values()[rows], multiplier.b_values()[columns]
    return Chart(name, title, _heat(block_means(error_table), _centres(a), _centres(b)), height=330)


def block_means(table: FloatArray, side: int = SIDE) -> FloatArray:
    """Mean over equal blocks so that no side has more than `side` entries; both sides are powers of two."""
    rows, columns = (min(n, side) for n in table.shape)
    return table.reshape(rows, table.shape[0] // rows, columns, table.shape[1] // columns).mean(axis=(1, 3))


def _centres(values: npt.NDArray[np.int64]) -> list[float]:
    count = min(values.size, SIDE)
    return [round(float(v), 3) for v in values.reshape(count, -1).mean(axis=1)]


def _heat(means: FloatArray, a: list[float], b: list[float]) -> Json:
    limit = float(np.abs(means).max()) or 1.0
    return {
        "data": [
            {
                "type": "heatmap",
                "z": [[float(f"{v:.4g}") for v in row] for row in means],
                "x": b,
                "y": a,
                "zmin": -limit,
                "zmax": limit,
                "colorscale": [
                    [0, "@minus2"],
                    [0.25, "@minus1"],
                    [0.5, "@zero"],
                    [0.75, "@plus1"],
                    [1, "@plus2"],
                ],
                "colorbar": {
                    "title": {"text": "mean error", "side": "right", "font": {"size": 13, "color": "@muted"}},
                    "thickness": 9,
                    "outlinewidth": 0,
                    "nticks": 5,
                },
                "hovertemplate": "activation %{y:.0f}<br>weight %{x:.0f}<br>mean error %{z:.4~g}<extra></extra>",
            }
        ],
        "layout": layout(
            xaxis=axis("weight operand", showgrid=False, nticks=5, constrain="domain"),
            yaxis=axis("activation operand", showgrid=False, nticks=5),
            margin={"l": 48, "r": 4, "t": 8, "b": 44},
        ),
    }
