"""Parts of the benchmark of emulation."""
