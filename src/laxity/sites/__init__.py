"""Finding the operations of a model that can be approximated."""

from laxity.sites.find import find_sites
from laxity.sites.prepare import Prepared, prepare

__all__ = ["Prepared", "find_sites", "prepare"]
