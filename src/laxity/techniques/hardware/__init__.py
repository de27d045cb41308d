"""Techniques of the hardware level."""
