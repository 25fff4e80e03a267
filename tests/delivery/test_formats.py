"""The formats of Maildir and mbox, line ends, and the meaning of exit statuses."""

from __future__ import annotations

import contextlib
import itertools
import mailbox
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Reply, ReversePath
from smtpproto.adapters import maildir
from smtpproto.delivery import (
    ExitStatus,
    MaildirSize,
    exit_reply,
    from_line,
    maildir_name,
    mbox_text,
    size_in_name,
    status_of_reply,
    unix_lines,
)

# -- line ends and mbox --------------------------------------------------------------------------

LINES = st.lists(
    st.sampled_from([b"From ", b">From ", b">", b">>", b"F", b"Fro", b"m ", b"x", b"\n"])
)


def cut(text: bytes, ends: list[int]) -> list[bytes]:
    """Return *text* in pieces."""
    places = [0, *sorted(end % (len(text) + 1) for end in ends), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(places)]


def test_lines_end_with_lf() -> None:
    assert b"".join(unix_lines([b"a\r", b"\nb\r\r", b"\n\n\r"])) == b"a\nb\r\n\n\r"


@pytest.mark.req("RFC5321-4.5.2-05")
@given(LINES, st.lists(st.integers(0, 99), max_size=5))
def test_the_quotes_of_an_mbox_can_be_undone(words: list[bytes], ends: list[int]) -> None:
    body = b"".join(words)
    text = b"".join(mbox_text(cut(b"A: b\n\n" + body, ends)))
    assert not re.search(rb"^From ", text, re.MULTILINE)
    undone = re.sub(rb"^>(>*From )", rb"\1", text, flags=re.MULTILINE)
    assert undone == b"A: b\n\n" + body + (b"" if not body or body.endswith(b"\n") else b"\n")


@pytest.mark.req("RFC5321-4.5.2-05")
@pytest.mark.parametrize("size", range(1, 12))
def test_how_a_message_is_cut_does_not_change_an_mbox(size: int) -> None:
    whole = b"Status: RO\nFrom: b\n\nFrom x\n>From y\n>>From z\n>x\nFro"
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    text = b"From: b\n\n>From x\n>>From y\n>>>From z\n>x\nFro\n"
    assert b"".join(mbox_text(pieces)) == text


@given(st.lists(st.integers(0, 99), max_size=5))
def test_an_mbox_gets_no_state_from_the_sender(ends: list[int]) -> None:
    header = b"A: b\nstatus : RO\nX-UID: 7\n\tfolded\nB: c\nContent-Length: 1\n"
    body = b"\nStatus: RO\n"
    assert b"".join(mbox_text(cut(header + body, ends))) == b"A: b\nB: c\n" + body


def test_a_line_of_any_length_needs_no_more_memory_than_its_pieces() -> None:
    long = [b"x" * 5000] * 3
    kept = list(mbox_text([b"A: ", *long, b"\nStatus: ", *long, b"\nB: c\n\n"]))
    assert b"".join(kept) == b"A: " + b"x" * 15000 + b"\nB: c\n\n"
    assert max(map(len, kept)) <= 5003


@pytest.mark.parametrize(
    ("sender", "line"),
    [
        ("zoe@example.net", b"From zoe@example.net Thu Jan  1 00:00:00 2026\n"),
        ("", b"From MAILER-DAEMON Thu Jan  1 00:00:00 2026\n"),
        ('"a b"@example.net', b'From "a_b"@example.net Thu Jan  1 00:00:00 2026\n'),
    ],
)
def test_the_line_that_begins_a_message(sender: str, line: bytes) -> None:
    assert from_line(ReversePath.of(sender), 1767225600.9) == line


def test_pythons_mailbox_finds_the_messages(tmp_path: Path) -> None:
    bodies = [b"From x\n\nFrom y\n", b"", b"no end"]
    text = b""
    for body in bodies:
        written = b"".join(mbox_text([b"Subject: x\n\n" + body]))
        text += from_line(ReversePath.of("zoe@example.net"), 0) + written + b"\n"
    (tmp_path / "mbox").write_bytes(text)
    with contextlib.closing(mailbox.mbox(tmp_path / "mbox")) as found:
        assert len(found) == 3


# -- Maildir -------------------------------------------------------------------------------------


def test_names_are_unique_and_valid_in_a_maildir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a/b:c")
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: maildir._unique_name(), range(2000)))
    assert len(set(names)) == len(names)
    pattern = r"1700000000\.M123456P\d+Q\d+R[0-9a-f]{8}\.a\\057b\\072c"
    assert all(re.fullmatch(pattern, name) for name in names)


def test_a_host_without_a_name_has_one_in_a_maildir() -> None:
    name = maildir_name(0, process=1, count=2, random=b"\xab", host="")
    assert name == "0.M0P1Q2Rab.localhost"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("1.x.host,S=12", 12),
        ("1.x.host,S=12,W=13:2,ST", 12),
        ("1.x,S=1x", None),
        ("1.x.host", None),
    ],
)
def test_the_size_in_a_name(name: str, size: int | None) -> None:
    assert size_in_name(name) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100S,5C\n20 1\n", MaildirSize(octets=100, messages=5, used=20, count=1)),
        ("100S\n20 1\n-5 -1\n\n", MaildirSize(octets=100, used=15, count=0, is_fresh=False)),
        ("0S,7Z,3C", MaildirSize(messages=3)),
        ("", MaildirSize()),
    ],
)
def test_maildirsize_is_read(text: str, size: MaildirSize) -> None:
    assert MaildirSize.parse(text) == size


@pytest.mark.parametrize("text", ["xS\n", "1S\n1\n", "1S\na b\n", "-1S\n", "1S\n1 2 3\n"])
def test_a_damaged_maildirsize_raises(text: str) -> None:
    with pytest.raises(ValueError):
        MaildirSize.parse(text)


@given(
    st.none() | st.integers(1, 10**15), st.none() | st.integers(1, 10**9), st.integers(0, 10**15)
)
def test_what_is_written_of_a_quota_is_read_again(
    octets: int | None, messages: int | None, used: int
) -> None:
    size = MaildirSize(octets=octets, messages=messages, used=used, count=3)
    assert MaildirSize.parse(str(size)) == size


@pytest.mark.parametrize(("used", "count", "fits"), [(90, 1, True), (91, 1, False), (0, 2, False)])
def test_a_quota_bounds_octets_and_messages(used: int, count: int, fits: bool) -> None:
    assert MaildirSize(octets=100, messages=2, used=used, count=count).has_room(10) is fits


# -- programs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (0, "250 2.0.0 Delivered to a program"),
        (67, "550 5.1.1 No such mailbox (exit status 67): no \\x1b ann"),
        (75, "451 4.3.0 The program asks to try again later (exit status 75): no \\x1b ann"),
        (77, "550 5.7.0 The program refuses this message (exit status 77): no \\x1b ann"),
        (1, "451 4.3.0 The program failed (exit status 1): no \\x1b ann"),
        (127, "451 4.3.0 The program failed (exit status 127): no \\x1b ann"),
        (-9, "451 4.3.0 The program failed (signal 9 ended it): no \\x1b ann"),
    ],
)
def test_what_an_exit_status_means(status: int, reply: str) -> None:
    assert str(exit_reply(status, b"\nno \x1b ann\nTraceback")) == reply
    assert str(exit_reply(status, b"\r\nno \x1b ann\r\nTraceback\r\n")) == reply


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(250, "2.0.0", "OK"), ExitStatus.OK),
        (Reply(550, "5.1.1", "No such user"), ExitStatus.NOUSER),
        (Reply(550, "5.1.2", "No such host"), ExitStatus.NOHOST),
        (Reply(553, "5.1.3", "Bad address"), ExitStatus.DATAERR),
        (Reply(556, "5.1.10", "Null MX"), ExitStatus.NOHOST),
        (Reply(550, "5.1.11", "x"), ExitStatus.DATAERR),
        (Reply(550, "5.1.20", "x"), ExitStatus.DATAERR),
        (Reply(552, "5.3.4", "Too big"), ExitStatus.DATAERR),
        (Reply(550, "5.3.40", "x"), ExitStatus.UNAVAILABLE),
        (Reply(550, "5.7.26", "No DMARC"), ExitStatus.NOPERM),
        (Reply(530, None, "Log in"), ExitStatus.NOPERM),
        (Reply(550, None, "No"), ExitStatus.UNAVAILABLE),
        (Reply(550, "5.2.1", "Disabled"), ExitStatus.UNAVAILABLE),
        (Reply(421, None, "Bye"), ExitStatus.TEMPFAIL),
    ],
    ids=str,
)
def test_a_reply_has_the_exit_status_that_says_the_same(reply: Reply, status: ExitStatus) -> None:
    assert status_of_reply(reply) is status


@pytest.mark.parametrize("status", ExitStatus)
def test_a_status_that_becomes_a_reply_comes_back_from_it(
    status: ExitStatus,
) -> None:
    back = status_of_reply(exit_reply(status))
    assert status_of_reply(exit_reply(back)) is back


@given(st.integers(-64, 255), st.binary(max_size=2000))
def test_each_exit_status_has_a_reply_that_can_be_sent(status: int, output: bytes) -> None:
    reply = exit_reply(status, output)
    assert reply.positive is (status == 0)
    assert str(reply).isprintable()
