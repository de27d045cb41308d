"""Searching for the cheapest plan inside an accuracy budget."""

from laxity.search.driver import Budget, Outcome, search

__all__ = ["Budget", "Outcome", "search"]
