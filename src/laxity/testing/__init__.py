"""Checks for those who extend laxity: what any plug-in must satisfy, whoever wrote it."""

from laxity.testing.target import check_target, example_demands

__all__ = ["check_target", "example_demands"]
