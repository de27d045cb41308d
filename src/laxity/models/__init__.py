"""Reference networks in plain torch, one file per family, built by name."""

from laxity.models import digits_cnn as _digits_cnn  # noqa: F401
from laxity.models.base import Builder, build, build_for, initialised, registry

__all__ = ["Builder", "build", "build_for", "initialised", "registry"]
