"""Ways of recovering accuracy side by side: run them, keep what they found in a folder, show it as a page."""

from laxity.artifacts.recovery.folder import is_recovery
from laxity.artifacts.recovery.render import render_recovery, write_recovery
from laxity.artifacts.recovery.session import Subject, climb, compare_treatments, rank

__all__ = ["Subject", "climb", "compare_treatments", "is_recovery", "rank", "render_recovery", "write_recovery"]
