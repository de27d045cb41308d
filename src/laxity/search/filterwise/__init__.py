"""Modes of single filters on a reconfigurable multiplier: the greedy search, and AxNN and ApproxANN as cases of it."""
