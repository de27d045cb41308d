"""Targets: machines that turn demands into energy, area, latency and memory. No torch here."""
