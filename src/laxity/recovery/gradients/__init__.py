"""Ways to find gradients of emulated operations: each one file, by name in `GRADIENTS`."""

from laxity.recovery.gradients.context import with_gradient
from laxity.recovery.gradients.error_slope import ErrorSlope, ErrorSlopeAtSite
from laxity.recovery.gradients.factors import Factors, factorise
from laxity.recovery.gradients.gradient import GRADIENTS, Gradient
from laxity.recovery.gradients.named import gradient_named
from laxity.recovery.gradients.site import SiteGradient
from laxity.recovery.gradients.straight_through import StraightThrough
from laxity.recovery.gradients.table_1d import Table1D
from laxity.recovery.gradients.table_2d import Table2D
from laxity.recovery.gradients.tables import ProductTable, TableAtSite

__all__ = [
    "GRADIENTS",
    "ErrorSlope",
    "ErrorSlopeAtSite",
    "Factors",
    "Gradient",
    "ProductTable",
    "SiteGradient",
    "StraightThrough",
    "Table1D",
    "Table2D",
    "TableAtSite",
    "factorise",
    "gradient_named",
    "with_gradient",
]
