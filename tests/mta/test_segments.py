"""Contents in files: what is read is what was written, wherever it lies."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Envelope
from smtpproto.adapters.segments import FileSlice, Segments
from smtpproto.errors import QueueFailed
from smtpproto.mail.preparation import prepare
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.testing.queue_contract import make_queued

from ..support.queues import do, open_queue

_calls = st.lists(
    st.tuples(st.just("read"), st.integers(-1, 30))
    | st.tuples(st.just("seek"), st.integers(0, 60), st.just(os.SEEK_SET))
    | st.tuples(st.just("seek"), st.integers(-60, 0), st.just(os.SEEK_END))
    | st.tuples(st.just("tell")),
    max_size=20,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slices") / "file"
    path.write_bytes(bytes(range(100)))
    return path


@given(offset=st.integers(0, 60), size=st.integers(0, 40), calls=_calls)
def test_a_slice_behaves_as_a_file_of_its_own(
    file: Path, offset: int, size: int, calls: list[tuple[str, int]]
) -> None:
    expected = io.BytesIO(bytes(range(100))[offset : offset + size])
    with FileSlice(file, offset, size) as found:
        for name, *arguments in calls:
            if name == "seek" and arguments[1] == os.SEEK_SET:
                arguments[0] = min(arguments[0], size)
            if name == "seek" and arguments[1] == os.SEEK_END:
                arguments[0] = max(arguments[0], -size)
            assert getattr(found, name)(*arguments) == getattr(expected, name)(*arguments)


def test_a_slice_of_a_file_that_is_too_short_or_missing_raises_one_clear_error(file: Path) -> None:
    with FileSlice(file, 90, 20) as short:
        assert short.read(10) == bytes(range(90, 100))
        with pytest.raises(QueueFailed, match="ends within a content"):
            short.read(1)
    missing = FileSlice(file.with_name("none"), 0, 1)
    with pytest.raises(QueueFailed, match="cannot be read"):
        missing.read()


def test_numbers_of_files_rise_and_are_not_used_again(tmp_path: Path) -> None:
    files = Segments(tmp_path / "bodies")
    files.start(())
    assert files.append(b"one") == (1, 0)
    assert files.append(b"two") == (1, 3)
    number, own = files.create()
    own.close()
    assert number == 2
    files.abandon()
    files.remove(1)
    again = Segments(tmp_path / "bodies")
    again.start(())
    assert again.append(b"three") == (3, 0)
    again.abandon()


def test_a_large_content_can_be_sent_twice_from_the_queue(tmp_path: Path) -> None:
    content = b"Subject: hi\r\n\r\n" + b"x" * 78 + b"\r\n" + b"\xe9\r\n" * 40_000
    with open_queue(tmp_path / "queue.db") as queue:
        queued = make_queued("a", content=content)
        do(queue.put([queued]))
        source = do(queue.content(queued.message))
        envelope = Envelope("ann@example.org", ["bob@example.com"])
        prepared, _ = prepare(source, envelope)
        assert (prepared.size, prepared.eight_bit) == (len(content), True)
        for _ in range(2):
            assert b"".join(prepared.slices()) == content


def test_lines_of_a_large_content_are_not_read_octet_by_octet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    content = b"a line\r\n" * 10_000
    readinto = FileSlice.readinto

    def counted(self: FileSlice, buffer: bytearray | memoryview, /) -> int:
        reads.append(len(buffer))
        return readinto(self, buffer)

    with open_queue(tmp_path / "queue.db") as queue:
        queued = make_queued("a", content=content)
        do(queue.put([queued]))
        source: Any = do(queue.content(queued.message))
        monkeypatch.setattr(FileSlice, "readinto", counted)
        assert [*source] == content.splitlines(keepends=True)
        assert len(reads) < 5


def test_contents_in_memory_are_bounded(tmp_path: Path) -> None:
    options = QueueLimits(reserve=0, cache=25)
    with open_queue(tmp_path / "queue.db", options) as queue:
        messages = [make_queued(f"m{number}", content=b"0123456789") for number in range(5)]
        do(queue.put(messages))
        assert queue._open is not None
        recent = queue._open.recent
        kept = [it.message.id for it in messages if recent.get(it.message.id) is not None]
        assert kept == ["m3", "m4"]
        assert all(do(queue.content(it.message)) == b"0123456789" for it in messages)
