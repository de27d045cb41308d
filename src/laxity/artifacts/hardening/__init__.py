"""Hardened networks: find the protections, judge them on unseen data, keep it all in a folder, show it as a page."""

from laxity.artifacts.hardening.load import is_hardening
from laxity.artifacts.hardening.render import render_hardening, write_hardening
from laxity.artifacts.hardening.session import Network, harden_network

__all__ = ["Network", "harden_network", "is_hardening", "render_hardening", "write_hardening"]
