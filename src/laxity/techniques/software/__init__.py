"""Techniques of the software level."""
