"""Fetching of public files: whole and with the right checksum, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from laxity.core.errors import DataError

Progress = Callable[[str, int, int | None], None]
"""Called with the URL, the bytes received so far, and the bytes expected (None if the server does not say)."""

_LOG = logging.getLogger("laxity.task")
_CHUNK = 1 << 18
_TIMEOUT_S = 30.0


def check_digest(raw: bytes, algorithm: str, expected: str, what: str) -> None:
    """Compare a checksum of `raw` with the known one.

    Raises:
        DataError: they differ; names `what`, both values and the remedy.
    """
    found = hashlib.new(algorithm, raw).hexdigest()
    if found != expected:
        raise DataError(
            f"{what} has {algorithm} {found}, expected {expected}; the file is damaged or another version, delete it "
            "and get it again"
        )


def download(url: str, path: Path, verify: Callable[[Path], None], progress: Progress | None = None) -> None:
    """Fetch `url` into `path`; nothing appears under that name before `verify` accepted the content.

    Args:
        url: address.
        path: file to write; its folder is made.
        verify: raises on a wrong file.
        progress: told how far it is.

    Raises:
        DataError: the address cannot be reached, the transfer breaks off, the folder cannot be written, or `verify`
            refuses the content.
    """
    temporary = None
    _LOG.info("downloading %s to %s", url, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=".download.", suffix="".join(path.suffixes), delete=False
        ) as handle:
            temporary = Path(handle.name)
            _receive(url, handle, progress)
        verify(temporary)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"cannot download {url} to {path}: {reason}; check the network, or copy the file there"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _receive(url: str, handle: Any, progress: Progress | None) -> None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
        length = response.headers.get("Content-Length")
        expected = int(length) if length else None
        received = 0
        while chunk := response.read(_CHUNK):
            handle.write(chunk)
            received += len(chunk)
            if progress is not None:
                progress(url, received, expected)
    if expected is not None and received != expected:
        raise DataError(f"download of {url} broke off after {received} of {expected} bytes; try again")
