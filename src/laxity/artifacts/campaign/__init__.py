"""Fault campaigns: run them, keep what they found in a folder, show it as a page."""

from laxity.artifacts.campaign.load import is_campaign
from laxity.artifacts.campaign.render import render_campaign, write_campaign
from laxity.artifacts.campaign.session import carry_out

__all__ = ["carry_out", "is_campaign", "render_campaign", "write_campaign"]
