"""What can be sent as a message: octets, files of every kind, pieces, and what is read by await."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from smtpproto import Envelope, GrammarError, lint
from smtpproto.adapters.blocking import run
from smtpproto.mail.preparation import Content, Source, prepare
from tests.support.envelopes import TO_BOB

OCTETS = b"From: ann@example.org\r\nTo: bob@example.org\r\n\r\nhello\r\n"


class Reader:
    """It has ``read``, and nothing else."""

    def __init__(self) -> None:
        self.file = io.BytesIO(OCTETS)

    def read(self, size: int) -> bytes:
        return self.file.read(size)


class SeekableReader(Reader):
    """A file without lines, which is not iterable."""

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, position: int) -> int:
        return self.file.seek(position)


class HalfSeekableReader(Reader):
    """It promises more than it has."""

    def seekable(self) -> bool:
        return True


class AsyncReader:
    """As the read end of an asyncio or trio stream."""

    def __init__(self) -> None:
        self.file = io.BytesIO(OCTETS)

    async def read(self, size: int) -> bytes:
        return self.file.read(size)


class AsyncFile(AsyncReader):
    """As the files of trio and aiofiles: iterable by ``async for``, and seekable by ``await``."""

    def seekable(self) -> bool:
        return True

    async def tell(self) -> int:
        raise AssertionError("not needed")

    async def seek(self, position: int) -> int:
        raise AssertionError("not needed")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in self.file:
            yield line


async def async_pieces() -> AsyncIterator[bytes]:
    for octet in OCTETS:
        yield bytes([octet])


def pieces() -> Iterator[bytes]:
    for octet in OCTETS:
        yield bytes([octet])


READABLE_TWICE: list[Callable[[], object]] = [lambda: OCTETS, lambda: io.BytesIO(OCTETS)]
READABLE_TWICE += [SeekableReader, lambda: bytearray(OCTETS), lambda: memoryview(OCTETS)]
READABLE_ONCE: list[Callable[[], object]] = [Reader, HalfSeekableReader, AsyncReader, AsyncFile]
READABLE_ONCE += [async_pieces, pieces]


def content_of(source: object, envelope: Envelope | None = TO_BOB) -> Content:
    return prepare(source, envelope)[0]  # type: ignore[arg-type]


def read(content: Content) -> bytes:
    async def slices() -> bytes:
        return b"".join([part async for part in content.async_slices()])

    return run(slices())


@pytest.mark.parametrize("source", READABLE_TWICE)
def test_octets_and_seekable_files_are_measured_and_may_make_the_envelope(
    source: Callable[[], object],
) -> None:
    content = content_of(source(), None)
    assert content.size == len(OCTETS) and not content.once
    assert read(content) == read(content) == OCTETS
    assert not [it for it in lint(source()) if it.line]  # type: ignore[arg-type]


@pytest.mark.parametrize("source", READABLE_ONCE)
def test_what_can_be_read_only_once_is_sent_but_needs_an_envelope(
    source: Callable[[], object],
) -> None:
    content = content_of(source())
    assert content.size is None and content.once
    assert read(content) == OCTETS
    with pytest.raises(GrammarError, match="read only once needs an envelope"):
        content_of(source(), None)


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_that_has_no_octets_yet_has_not_ended(buffering: int) -> None:
    """Otherwise a part of the message would be sent as all of it."""
    to_read, to_write = os.pipe()
    os.set_blocking(to_read, False)
    os.write(to_write, OCTETS)
    with open(to_read, "rb", buffering) as file, open(to_write, "wb"):
        content = content_of(file)
        with pytest.raises(GrammarError, match="does not wait for its octets"):
            read(content)


@pytest.mark.parametrize(
    "octets", [b"", b"\r\n", b"Subject: x", b"\0", b"a\rb\nc\r\nd\r\r\n", b"\n\r"]
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_pieces_of_any_size_are_sent_as_the_whole_would_be(octets: bytes, size: int) -> None:
    split: Source = [octets[at : at + size] for at in range(0, len(octets), size)]
    assert read(content_of(split)) == read(content_of(octets))
