"""One HTML text that works without a network: a template of a page inside the frame that all pages share."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from laxity.artifacts.page import numbers
from laxity.artifacts.page.inline import csp_hash, plotly_script

_FRAME = "laxity.artifacts.page"
_FILTERS = ("number", "percent", "points", "signed_points", "quantity", "duration")


def render_document(
    package: str, template: str, values: dict[str, Any], *, styles: Sequence[str] = (), scripts: Sequence[str] = ()
) -> str:
    """Render a template that extends ``base.html``; equal arguments give equal text.

    Args:
        package: that holds the files of the page.
        template: name of its template; values in it are escaped.
        values: what the template shows.
        styles: further style sheets of the package, after the shared one.
        scripts: further scripts of the package, after the shared one.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, "") for name in (package, _FRAME)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update({name: getattr(numbers, name) for name in _FILTERS})
    style = "".join([_asset(_FRAME, "style.css"), *(_asset(package, name) for name in styles)])
    script = "\n".join([_asset(_FRAME, "page.js"), *(_asset(package, name) for name in scripts)])
    plotly = plotly_script()
    return environment.get_template(template).render(
        values,
        style=Markup(style),
        script=Markup(script),
        plotly=Markup(plotly),
        script_hashes=[csp_hash(script), csp_hash(plotly)],
    )


def _asset(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
