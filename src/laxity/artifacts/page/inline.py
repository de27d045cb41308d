"""What a page needs to be complete in itself: scripts and data inline, and a policy that admits nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from markupsafe import Markup


def script_json(value: Any) -> Markup:
    """JSON that cannot leave a script element: no ``<``, ``>`` or ``&`` appears in it, only their escapes."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def plotly_script() -> str:
    """The source of plotly.js."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def csp_hash(script: str) -> str:
    """Source expression of a content security policy that allows exactly this inline script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
