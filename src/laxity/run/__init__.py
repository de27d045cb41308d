"""Running many evaluations: a journal that survives every interruption, and executors."""

from laxity.run.executor import Serial, make_executor
from laxity.run.journal import Journal

__all__ = ["Journal", "Serial", "make_executor"]
