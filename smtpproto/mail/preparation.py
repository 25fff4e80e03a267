"""The content of a message, prepared for sending in slices, and its size and kind if known."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from io import TextIOBase
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard, Union, cast

from attrs import evolve, frozen

from ..errors import GrammarError
from ..grammar.envelope import Envelope
from ..grammar.parameters import Body
from ..limits import CHUNK
from ..option_types import check_type, maker, require_type, wrong_type
from ..wire.dots import has_bare, to_crlf
from ..wire.lines import LineLengths
from .header import MAX_HEADER, HeaderScanner, header_fields

if TYPE_CHECKING:
    from email.message import Message

_SOURCES = "an EmailMessage, octets, a binary file, or octets in pieces"

Source = Union["Message", bytes, BinaryIO, Iterable[bytes], AsyncIterable[bytes]]
"""A message to send: an ``EmailMessage``, octets, a file opened for reading octets, or octets in
pieces. Lines may end with CRLF, LF or CR; CRLF is sent."""


@frozen
class Content:
    """Content to send.

    *size* is in octets as sent (RFC 1870 5). *eight_bit* says whether there are octets above 127.
    Both are None for content in pieces, which has not been read yet. *utf8_header* says that the
    content needs SMTPUTF8: it is about the header section of the message. The header sections of
    its parts are not checked; RFC 6531 3.2 requires ASCII there, too.
    """

    source: bytes | BinaryIO | Iterable[bytes] | AsyncIterable[bytes]
    size: int | None = None
    eight_bit: bool | None = None
    utf8_header: bool = False
    binary: bool = False
    """Whether the octets are sent unchanged. If not, every line ends with CRLF, the last too."""
    long_lines: bool = False
    """Whether lines of more than 1000 octets, CRLF included, are sent. Otherwise GrammarError."""
    start: int | None = None
    """The position in a file where the content begins; None if it is not a seekable file."""
    ready: bool = False
    """Whether *source* is octets that are sent unchanged."""

    @property
    def once(self) -> bool:
        """Whether the content can be read only once."""
        one_way = hasattr(self.source, "read") or isinstance(self.source, Iterator | AsyncIterator)
        return one_way and self.start is None

    @property
    def is_async(self) -> bool:
        """Whether the content must be read by ``await``, with :meth:`async_slices`."""
        return not self.ready and _is_async(self.source)

    def slices(self) -> Iterator[bytes]:
        """Return the content in slices of at most 128 KiB.

        If the content was not measured, the first slice holds the header section and may be longer
        by as much. Raises GrammarError if that section needs SMTPUTF8 and *utf8_header* is False,
        or if it is longer than 1 MiB.
        """
        if self.ready:
            return _cut_lines(self.source)  # type: ignore[arg-type]  # it is bytes then
        return self._prepared_slices()

    def _prepared_slices(self) -> Iterator[bytes]:
        if self.start is not None:
            cast(BinaryIO, self.source).seek(self.start)
        preparer = _Preparer(self)
        for piece in chain(pieces_of(cast(BinaryIO, self.source)), [None]):
            yield from preparer.prepare(piece)

    async def async_slices(self) -> AsyncGenerator[bytes, None]:
        """Yield the same slices as :meth:`slices` returns, for a source of any kind."""
        if not self.is_async:
            for part in self.slices():
                yield part
            return
        preparer, pieces = _Preparer(self), _async_pieces(self.source)
        try:
            async for piece in pieces:
                for part in preparer.prepare(piece):
                    yield part
            for part in preparer.prepare(None):
                yield part
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def chunks(self, size: int) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Yield the content in pieces of *size* octets, each with whether it is the last one. The
        last piece may be shorter."""
        gathered = bytearray()
        async with contextlib.aclosing(self.async_slices()) as slices:
            async for part in slices:
                gathered += part
                while len(gathered) > size:
                    yield bytes(gathered[:size]), False
                    del gathered[:size]
        yield bytes(gathered), True


class _Preparer:
    """Turns pieces of content into slices to send, and checks a header that was not measured."""

    def __init__(self, content: Content) -> None:
        self._converter = _Converter(content)
        measured = content.size is not None or content.utf8_header
        self._header = None if measured else HeaderScanner()
        self._held = bytearray()  # the header section so far

    def prepare(self, piece: bytes | None) -> Iterator[bytes]:
        """Yield the slices that *piece* completes; None is the end of the content. Raises
        GrammarError, as Content.slices does."""
        converter = self._converter
        parts = [converter.finish()] if piece is None else map(converter.convert, _cut(piece))
        for part in parts:
            if (header := self._header) is None:
                yield part
                continue
            self._held += part
            header.feed(part)
            if piece is None:
                header.finish()
            if header.ended or len(self._held) > MAX_HEADER:
                self._header = None
                yield _in_ascii(self._held, header)


def prepare(
    source: Source,
    envelope: Envelope | None = None,
    *,
    eight_bit: bool = True,
    utf8_offered: bool = False,
    long_lines: bool = False,
) -> tuple[Content, Envelope]:
    """Prepare *source* for sending. Without *envelope*, make one from the header fields.

    An email object is written without its Bcc fields, and in ASCII unless *eight_bit*; its header
    is encoded in ASCII, unless an address is not ASCII, or fields were parsed that are not and
    *utf8_offered* says that the server accepts them. In all other sources only line ends are
    changed, and nothing if the envelope's parameters have BINARYMIME. A seekable file is read once
    to find its size, and again from the same position each time that it is sent.

    Raises TypeError for any other type. Raises GrammarError if no envelope is given and the header
    fields make none, and for lines of more than 998 octets unless *long_lines* allows them.
    """
    if type(source) is not bytes:
        source = _checked(source)
    if type(envelope) is not Envelope:
        check_type("envelope", envelope, Envelope, 'Envelope("ann@x.test", ["bob@y.test"])')
    if type(source) is not bytes and _is_message(source):
        source, envelope = _write(source, envelope, eight_bit=eight_bit, utf8_offered=utf8_offered)
    elif envelope is None:
        from .header_envelope import envelope_of  # noqa: PLC0415

        envelope = envelope_of(header_fields(read_header(source)), bcc_allowed=False)
    binary = envelope.parameters.body is Body.BINARY_MIME
    if isinstance(source, bytes) and len(source) <= CHUNK:
        return _converted(source, binary=binary, long_lines=long_lines), envelope
    content = Content(cast(Any, source), binary=binary, long_lines=long_lines)
    if isinstance(source, bytes) or _seekable(source):
        content = _measured(content)
    return content, envelope


def _is_message(source: object) -> TypeGuard[Message]:
    """Return whether *source* is an email object: then its program has loaded their module."""
    module = sys.modules.get("email.message")
    return module is not None and isinstance(source, module.Message)


def _write(
    message: Message, envelope: Envelope | None, *, eight_bit: bool, utf8_offered: bool
) -> tuple[bytes, Envelope]:
    """Return the octets of an email object, and its envelope."""
    # The email package is large, and most senders of octets do not need it.
    from .email_object import check_recovered, email_fields, has_octets, write_email  # noqa: PLC0415
    from .header_envelope import envelope_of, needs_utf8  # noqa: PLC0415

    fields = email_fields(message)
    if envelope is None:
        envelope = envelope_of(fields, bcc_allowed=True)
        check_recovered(message)
    utf8 = not envelope.isascii or needs_utf8(fields) or (utf8_offered and has_octets(message))
    return write_email(message, utf8=utf8, eight_bit=eight_bit), envelope


def _checked(source: Source) -> Source:
    """Return *source*, octets as bytes. Raises TypeError if it is not a message."""
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, TextIOBase):
        raise wrong_type("a message", source, 'a file that is opened with "rb"')
    readable = isinstance(source, Iterable | AsyncIterable) or hasattr(source, "read")
    if isinstance(source, str | Mapping) or not (readable or _is_message(source)):
        is_django = not isinstance(source, type) and hasattr(source, "message")
        raise wrong_type("a message", source, "its message()" if is_django else _SOURCES)
    for piece in source if isinstance(source, list | tuple) else ():
        _require_octets(piece)
    return source


def repeater(source: Source) -> Callable[[], bool]:
    """Return a function that resets *source* to where it is now, so that it can be sent again.

    The function returns False if *source* can be read only once.
    """
    if _seekable(source):
        start = source.tell()
        return lambda: source.seek(start) == start
    once = Content(cast(Any, source)).once
    return lambda: not once


def _converted(source: bytes, *, binary: bool, long_lines: bool) -> Content:
    """Return the content of a short message, which is looked at once and converted once."""
    if not binary:
        if has_bare(source):
            source = to_crlf(source)
        if source and not source.endswith(b"\r\n"):
            source += b"\r\n"
        if not long_lines:
            LineLengths().check(source)
    eight_bit, utf8_header = not source.isascii(), False
    if eight_bit:
        header = HeaderScanner()
        header.feed(source)
        header.finish()
        utf8_header = not header.is_ascii
    return _make_content(source, len(source), eight_bit, utf8_header, binary, long_lines, True)


_make_content = maker(
    Content, "source", "size", "eight_bit", "utf8_header", "binary", "long_lines", "ready"
)


def _measured(content: Content) -> Content:
    """Read all of *content*. Return it with its size, eight_bit, utf8_header, start and ready."""
    source = content.source
    start = source.tell() if _seekable(source) else None
    converter = _Converter(content)
    size, eight_bit, header = 0, False, HeaderScanner()
    for part in pieces_of(cast(bytes | BinaryIO, source)):
        converted = converter.convert(part)
        size += len(converted)
        eight_bit = eight_bit or not converted.isascii()
        if not header.ended:
            header.feed(converted)
    header.finish()
    size += len(converter.finish())
    if start is not None:
        cast(BinaryIO, source).seek(start)
    # What converts a line end adds to the octets.
    ready = isinstance(source, bytes) and len(source) == size
    utf8_header = not header.is_ascii
    return evolve(
        content, size=size, eight_bit=eight_bit, utf8_header=utf8_header, start=start, ready=ready
    )


def has_crlf_lines(octets: bytes) -> bool:
    """Return whether each line of *octets*, also the last one, ends with CRLF."""
    return octets.endswith(b"\r\n") and not has_bare(octets)


class _Converter:
    """Turns CRLF, LF and CR into CRLF, slice by slice, and adds a missing last CRLF; but binary
    content is left unchanged."""

    def __init__(self, content: Content) -> None:
        self._binary = content.binary
        self._cr = b""  # a CR at the end of a slice may be half of a CRLF
        self._ended = True  # empty content needs no CRLF
        self._lengths = None if content.long_lines else LineLengths()

    def convert(self, data: bytes) -> bytes:
        """Return the next slice with CRLF line ends. Raises GrammarError for a long line."""
        if self._binary:
            return data
        data = self._cr + data
        self._cr = b"\r" if data.endswith(b"\r") else b""
        data = data.removesuffix(b"\r")
        if not data:
            return b""
        self._ended = data.endswith((b"\n", b"\r"))
        if has_bare(data):
            data = to_crlf(data)
        if self._lengths is not None:
            self._lengths.check(data)
        return data

    def finish(self) -> bytes:
        """Return the CRLF that the content lacks at its end, if any."""
        return b"" if self._ended and not self._cr else self.convert(b"\n")


def pieces_of(source: bytes | BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """Yield *source* in pieces of at most 128 KiB."""
    if isinstance(source, bytes):
        yield from _cut(source)
    elif (read := getattr(source, "read", None)) is not None:
        while piece := _not_none(read(CHUNK)):
            yield from _cut(piece)
    else:
        for piece in source:
            yield from _cut(piece)


def _async_pieces(source: Any) -> AsyncIterator[bytes]:
    """Return the pieces of a source that is iterated, or read, by ``await``."""

    async def read() -> AsyncIterator[bytes]:
        while piece := _not_none(await source.read(CHUNK)):
            yield piece

    return aiter(source) if isinstance(source, AsyncIterable) else read()


def _not_none(piece: Any) -> Any:
    """Return *piece*. Raise GrammarError if it is None: no octets are ready, but the file has not
    ended."""
    if piece is None:
        raise GrammarError("a file that does not wait for its octets; open it in blocking mode")
    return piece


def _is_async(source: object) -> bool:
    """Return whether *source* is iterated, or read, by ``await``."""
    if isinstance(source, AsyncIterable):
        return True
    read = getattr(source, "read", None)
    return read is not None and inspect.iscoroutinefunction(read)


def _in_ascii(held: bytearray, header: HeaderScanner) -> bytes:
    """Return *held*, the start of the content. Raise GrammarError if its header is not ASCII."""
    if not header.ended:
        raise GrammarError(f"a header section of more than {MAX_HEADER} octets; send a file")
    if not header.is_ascii:
        raise GrammarError(
            "a header field is not ASCII; set MailParameters(smtputf8=True) in the envelope"
        )
    return bytes(held)


def _cut_lines(data: bytes) -> Iterator[bytes]:
    """Yield *data* in slices of at most 128 KiB that do not end between CR and LF."""
    start, size = 0, len(data)
    while start < size:
        end = start + CHUNK
        end -= data[end - 1 : end + 1] == b"\r\n"
        yield data[start:end]
        start = end


def _require_octets(piece: object) -> None:
    require_type("a piece of a message", piece, bytes | bytearray | memoryview, "octets")


def _cut(data: bytes) -> Iterator[bytes]:
    """Return *data* in pieces of at most 128 KiB. Raises TypeError if it is not octets."""
    _require_octets(data)
    data = bytes(data)
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))


def _seekable(source: object) -> TypeGuard[BinaryIO]:
    """Return whether *source* is a file that can be set back, without ``await``."""
    if _is_async(source):
        return False
    is_file = all(hasattr(source, name) for name in ("read", "seek", "tell", "seekable"))
    return is_file and bool(source.seekable())  # type: ignore[attr-defined]


def read_header(source: object) -> bytes:
    """Return the start of *source*, which holds its header section. A file keeps its position.
    Raises GrammarError for a source that can be read only once, and a section of more than 1 MiB.
    """
    if isinstance(source, bytes):
        return source
    start = source.tell() if _seekable(source) else None
    if start is None and not isinstance(source, list | tuple):
        raise GrammarError("a message that can be read only once needs an envelope; pass one")
    converter = _Converter(Content(b"", long_lines=True))
    octets, header = bytearray(), HeaderScanner()
    for piece in pieces_of(cast(Any, source)):
        octets += piece
        header.feed(converter.convert(piece))
        if header.ended:
            break
        if len(octets) > MAX_HEADER:
            raise GrammarError(
                f"a header section of more than {MAX_HEADER} octets; pass an envelope"
            )
    if start is not None:
        cast(BinaryIO, source).seek(start)
    return bytes(octets)
