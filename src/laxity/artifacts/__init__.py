"""What a run leaves behind: the run folder with plan, weights, figures, Verilog and report."""

from laxity.artifacts.config import RunConfig, TaskConfig
from laxity.artifacts.session import Result, optimize

__all__ = ["Result", "RunConfig", "TaskConfig", "optimize"]
