"""The target of the wire: lines, stuffed dots, chunks and PROXY headers, at any split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smtpproto.errors import GrammarError, LocalProtocolError
from smtpproto.wire.buffer import Buffer
from smtpproto.wire.chunks import CanonicalText, ChunkReader
from smtpproto.wire.dots import DotWriter
from smtpproto.wire.lines import LineReader
from smtpproto.wire.proxy import ProxyHeader, ProxyReader
from tests.fuzz.pieces import splits
from tests.support.dot_reading import ReadContent, read_dots
from tests.support.pieces import has_bare_cr_or_lf

LIMIT = 64  # octets of a line
CHUNK = 40  # octets


def read_lines(parts: list[bytes]) -> object:
    """Return the lines, and what is left of the last."""
    buffer = Buffer()
    reader = LineReader(buffer)
    lines = []
    for part in parts:
        buffer.feed(part)
        while (line := reader.read(LIMIT)) is not None:
            lines.append(line)
        assert len(buffer) < LIMIT
    return lines, buffer.take(len(buffer))


def read_normalized_dots(parts: list[bytes]) -> object:
    """Return the content with all line ends as CRLF."""
    return read_dots(parts, normalize=True)


def read_chunk(parts: list[bytes]) -> object:
    """Return the octets of a chunk, and those after it."""
    buffer = Buffer()
    reader = ChunkReader(buffer, CHUNK)
    content = b""
    for part in parts:
        buffer.feed(part)
        while piece := reader.read():
            content += piece
    return content, reader.done, buffer.take(len(buffer))


def check_text(parts: list[bytes]) -> object:
    """Return whether chunks are text, which must be the same as for the whole of them."""
    checker = CanonicalText()
    try:
        for part in parts:
            checker.check(part, last=False)
        checker.check(b"", last=True)
    except LocalProtocolError:
        return False
    assert not has_bare_cr_or_lf(b"".join(parts))
    return True


def write_dots(parts: list[bytes]) -> object:
    """Return what is sent; the reader must read the same content from it."""
    writer, content = DotWriter(), b"".join(parts)
    try:
        sent = b"".join([writer.encode(part) for part in parts]) + writer.finish()
    except LocalProtocolError:
        assert has_bare_cr_or_lf(content)
        return None
    ended = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert read_dots([sent]) == ReadContent(ended, True, False, False, b"")
    return sent


def read_proxy(parts: list[bytes]) -> object:
    """Return the PROXY header, which is the same when it is written and read again."""
    reader = ProxyReader()
    try:
        header = next(_headers(reader, parts), None)
    except GrammarError as error:
        return str(error)
    if header is not None:
        assert ProxyReader().feed(bytes(header)) is not None
    return header


def _headers(reader: ProxyReader, parts: list[bytes]) -> Iterator[ProxyHeader]:
    for part in parts:
        if (header := reader.feed(part)) is not None:
            yield header


READERS: list[Callable[[list[bytes]], object]] = [
    read_lines, read_dots, read_normalized_dots, read_chunk, check_text, write_dots, read_proxy
]  # fmt: skip


def fuzz(data: bytes) -> None:
    """The first octet chooses what is read, the next four are cuts; the rest is read."""
    if not data:
        return
    read = READERS[data[0] % len(READERS)]
    whole, others = splits(data[1:])
    expected = read([whole])
    for parts in others:
        assert read(parts) == expected
