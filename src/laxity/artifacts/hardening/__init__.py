"""Hardened networks: find the protections, judge them on unseen data, keep everything in a folder."""

from laxity.artifacts.hardening.session import Network, harden_network

__all__ = ["Network", "harden_network"]
