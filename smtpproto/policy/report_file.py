"""Reports that come by mail, as gzip, zip or plain files; within bounds, whoever has made them."""

from __future__ import annotations

import io
import zipfile
import zlib

from ..grammar.reply import GrammarError
from ..option_types import require_type

__all__ = ["MAX_EXPANDED", "MAX_REPORT"]

MAX_REPORT = 16 * 1024 * 1024
"""Octets of a report, or of the mail with it, that are read."""
MAX_EXPANDED = 64 * 1024 * 1024
"""Octets of a report that was compressed."""

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_GZIP_WINDOW = 31  # for zlib: a gzip header and trailer, and any window


def expand(octets: bytes, most: int = MAX_EXPANDED) -> bytes:
    """Return *octets* as they were before they were compressed, by gzip or into a zip file, whose
    first file it is. Others are returned as they are. Raises GrammarError."""
    check_size(octets)
    try:
        if octets.startswith(_GZIP):
            return _gunzip(octets, most)
        return _unzip(octets, most) if octets.startswith(_ZIP) else octets
    except GrammarError:
        raise
    except _DAMAGES:
        raise GrammarError("a compressed report is damaged") from None


def check_size(octets: bytes) -> None:
    """Raise GrammarError if *octets* are too many for a report, TypeError if they are no bytes."""
    require_type("a report", octets, bytes, "the octets of the file or the mail")
    if len(octets) > MAX_REPORT:
        raise GrammarError(f"a report of more than {MAX_REPORT} octets")


_DAMAGES = (zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError)


def _gunzip(octets: bytes, most: int) -> bytes:
    found = bytearray()
    while octets.startswith(_GZIP):  # members may follow each other (RFC 1952 2.2)
        expander = zlib.decompressobj(_GZIP_WINDOW)
        found += expander.decompress(octets, most + 1 - len(found))
        if len(found) > most:
            raise _too_large(most)
        if not expander.eof:
            raise EOFError
        octets = expander.unused_data
    return bytes(found)


def _unzip(octets: bytes, most: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        files = [it for it in archive.infolist() if not it.is_dir()]
        if not files:
            raise GrammarError("a zip file without a report")
        with archive.open(files[0]) as file:
            found = file.read(most + 1)
    if len(found) > most:
        raise _too_large(most)
    return found


def _too_large(most: int) -> GrammarError:
    return GrammarError(f"a compressed report of more than {most} octets")
