"""The command line. Nothing here imports torch before a command needs it."""

from laxity.cli.app import app, main

__all__ = ["app", "main"]
