"""Techniques that protect stored weights."""
