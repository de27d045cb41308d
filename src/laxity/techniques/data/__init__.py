"""Techniques of the data level."""
