"""The text of transcripts, and their recording."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.testing.recording import Recorder
from smtpproto.testing.transcript import TLS, Content, Entry, Line, Note, Side, Transcript

NASTY = st.sampled_from(
    [
        b"\\",
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"\xff",
        "ü\u2028".encode(),
        b"[9 octets of content]",
        b".",
    ]
)
OCTETS = st.one_of(
    st.binary(max_size=20),
    st.lists(NASTY, max_size=4).map(b"".join),
)
BOTH: tuple[Side, ...] = ("C", "S")
SIDES = st.sampled_from(BOTH)
ENTRIES: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Line, SIDES, OCTETS | OCTETS.map(lambda it: it + b"\r\n")),
    st.builds(Content, st.integers(0, 10**17)),
    st.builds(TLS, st.text(max_size=9)),
    st.builds(Note, st.text(max_size=9)),
)
SESSION = b"""AUTH PLAIN AHNlY3JldA==
AUTH LOGIN
c2VjcmV0
c2VjcmV0
MAIL FROM:<ann@example.org>
"""


@given(st.lists(ENTRIES, max_size=6))
@example([Line("C", b"[9 octets of content]\r\n"), Content(9), Line("C", b"")])
def test_a_transcript_survives_its_text(entries: list[Entry]) -> None:
    transcript = Transcript(entries)
    assert Transcript.parse(str(transcript)) == transcript
    assert Transcript.parse(str(transcript).replace("\n", "\r\n   \r\n    ")) == transcript
    assert all(c.isprintable() or c == "\n" for c in str(transcript))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("S: ok\nX: hello", "line 2 is not a line of a transcript: 'X: hello'; begin it with"),
        ("C:hello", "'C:hello'; begin it"),
        (r"C: \q", r"write a backslash as \\\\"),
        ("C: \\x1", "write a backslash as"),
        (r"*: \xff", "use only text in notes"),
    ],
)
def test_what_is_no_transcript_is_refused_with_its_line(text: str, error: str) -> None:
    with pytest.raises(GrammarError, match=error):
        Transcript.parse(text)


@given(st.data(), st.lists(st.tuples(SIDES, OCTETS), max_size=9))
def test_any_octets_can_be_recorded_in_any_pieces(
    data: st.DataObject, sent: list[tuple[Side, bytes]]
) -> None:
    recorder = Recorder(masks=False)
    for side, octets in sent:
        cut = data.draw(st.integers(0, len(octets)))
        for piece in (octets[:cut], octets[cut:]):
            recorder.feed(side, piece)
    for side in BOTH:
        assert recorder.transcript.octets(side) == b"".join(it for who, it in sent if who == side)


def record(*sent: tuple[Side, str]) -> Recorder:
    recorder = Recorder()
    for side, text in sent:
        recorder.feed(side, text.replace("\n", "\r\n").encode())
    return recorder


def test_secrets_are_masked_in_any_order_of_lines() -> None:
    recorder = Recorder()
    for piece in SESSION.replace(b"\n", b"\r\n").splitlines(keepends=True):
        recorder.feed("S", b"504 5.5.4 no\r\n")
        recorder.feed("C", piece[:3])
        assert "c2V" not in str(recorder.transcript).removesuffix("c2V\\\n")
        recorder.feed("C", piece[3:])
    text = str(recorder.transcript)
    assert text.count("***") == 3 and "cret" not in text and "c2V" not in text
    assert "C: AUTH LOGIN\n" in text and "C: MAIL FROM:<ann@example.org>\n" in text


def test_challenges_and_responses_are_masked_and_a_cancellation_is_not() -> None:
    recorder = record(
        ("C", "AUTH SCRAM-SHA-256\n"), ("S", "334 \n"), ("C", "QUIT\n"), ("S", "334 cj1m\n"),
        ("C", "*\n"), ("S", "501 ok\n"), ("C", "QUIT\n"),
    )  # fmt: skip
    assert str(recorder.transcript) == (
        "C: AUTH SCRAM-SHA-256\nS: 334 ***\nC: ***\nS: 334 ***\nC: *\nS: 501 ok\nC: QUIT\n"
    )


def test_a_secret_in_pieces_without_line_ends_is_masked() -> None:
    recorder = Recorder()
    recorder.feed("C", b"AUTH PLAIN " + b"A" * 100_000)
    recorder.feed("C", b"B" * 100_000 + b"\r\n")
    recorder.feed("S", b"235 ok\r\n")
    recorder.feed("C", b"QUIT\r\n")
    assert "AAA" not in str(recorder.transcript) and "BBB" not in str(recorder.transcript)
    masked = "C: AUTH PLAIN ***\\\nC: ***\nS: 235 ok\nC: QUIT\n"
    assert str(recorder.transcript) == masked


def test_secrets_are_masked_where_lines_end_with_lf_alone() -> None:
    recorder = Recorder()
    recorder.feed("C", b"EHLO a\nAUTH LOGIN\n")
    recorder.feed("S", b"334 VXNlcm5hbWU6\n")
    recorder.feed("C", b"YW5u\nc2VjcmV0\n")
    recorder.feed("S", b"235 ok\n")
    recorder.feed("C", b"AUTH PLAIN AGFubgBzZWNyZXQ=\n")
    recorder.feed("S", b"503 again\n354 go on\n")
    recorder.feed("C", b"AUTH is a word\n.\nof the content\r\n.\r\nQUIT\n")
    text = str(recorder.transcript)
    assert (
        text
        == r"""
C: EHLO a\n\
C: AUTH LOGIN\n\
S: 334 ***\n\
C: ***\n\
C: ***\n\
S: 235 ok\n\
C: AUTH PLAIN ***\n\
S: 503 again\n\
S: 354 go on\n\
C: AUTH is a word\n.\nof the content
C: .
C: QUIT\n\
"""[1:]
    )
    assert Transcript.parse(text) == recorder.transcript == recorder.transcript.masked()


def test_tls_begins_after_the_last_line_of_a_220() -> None:
    recorder = record(("C", "STARTTLS\n"), ("S", "454 no\n"), ("C", "STARTTLS\n"), ("S", "220-a\n"))
    assert not recorder.in_tls
    recorder.feed("S", b"220 b\r\n")
    assert recorder.in_tls


def test_content_is_shortened_to_its_size() -> None:
    recorder = record(
        ("C", "DATA\n"), ("S", "354 go\n"), ("C", "AUTH PLAIN x\n\n.\n"), ("S", "250 ok\n"),
        ("C", "BDAT 9\nQUIT\n.\nBDAT 2 LAST\nhiQUIT\n"),
    )  # fmt: skip
    assert "C: AUTH PLAIN x\n" in str(recorder.transcript)
    shortened = recorder.transcript.shortened()
    assert str(shortened) == (
        "C: DATA\nS: 354 go\nC: [16 octets of content]\nC: .\nS: 250 ok\nC: BDAT 9\n"
        "C: [9 octets of content]\nC: BDAT 2 LAST\nC: [2 octets of content]\nC: QUIT\n"
    )
    assert shortened.shortened() == shortened


def test_a_recording_has_a_bound() -> None:
    recorder = Recorder(limit=50)
    for _ in range(10):
        recorder.feed("C", b"NOOP noop noop\r\n")
    assert str(recorder.transcript).endswith(
        "*: the rest is not recorded: the session is longer than 50 octets\n"
    )
