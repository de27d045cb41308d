"""Finding the operations of a model that can be approximated."""

from laxity.sites.composites import composite
from laxity.sites.find import find_sites
from laxity.sites.layers import Product
from laxity.sites.prepare import Prepared, prepare

__all__ = ["Prepared", "Product", "composite", "find_sites", "prepare"]
