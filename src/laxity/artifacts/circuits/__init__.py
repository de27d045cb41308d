"""The self-contained HTML page that compares circuits."""

from laxity.artifacts.circuits.render import render_page, write_page

__all__ = ["render_page", "write_page"]
