"""Running many evaluations: a journal that survives every interruption, and executors."""

from laxity.run.clusters import executor_named
from laxity.run.executor import Serial, make_executor
from laxity.run.journal import Journal
from laxity.run.lines import Lines

__all__ = ["Journal", "Lines", "Serial", "executor_named", "make_executor"]
