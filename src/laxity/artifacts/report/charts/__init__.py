"""The charts of the report: each file turns a `RunView` into plotly JSON."""
