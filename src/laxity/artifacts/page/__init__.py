"""What the HTML pages of laxity share: document, style, script, charts, numbers."""

from laxity.artifacts.page.document import render_document

__all__ = ["render_document"]
