"""Replay a transcript: play one side of it against the other, and compare what that says.

Expected lines may have ``...`` for what varies, for example dates and ids, and ``***`` for secrets:
both stand for any text. Each function raises AssertionError with the first difference. It raises
ValueError if the transcript cannot be played because it hides secrets, or leaves out content.
"""

from __future__ import annotations

import difflib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from itertools import groupby
from typing import Unpack

from ..adapters.blocking import Client, Runtime, run
from ..client.config import ClientConfig, ClientOptions, TLSMode
from ..client.connection import start_client
from ..errors import TimedOut
from ..server import Conversation, HandlerSource
from ..server.config import ServerConfig, ServerOptions
from .player import Player, Splits, check_playable, line_matches, players
from .recording import Recorder
from .transcript import TLS, Line, Note, Side, Transcript

__all__ = [
    "Splits", "assert_matches", "replay_over_socket", "replay_to_client", "replay_to_server",
    "rerun",
]  # fmt: skip

_SECONDS = 10.0


def assert_matches(actual: Transcript, expected: Transcript | str) -> None:
    """Raise AssertionError, with the differences, unless *actual* is what is *expected*.

    Notes are not compared.
    """
    wanted = Transcript.parse(expected) if isinstance(expected, str) else expected
    left, right = _lines(wanted), _lines(actual)
    same = [line_matches(*pair) for pair in zip(left, right, strict=False)]
    if all(same) and len(left) == len(right):
        return
    left, right = _lines(wanted.masked()), _lines(actual.masked())
    for number, matches in enumerate(same):
        if matches:  # a placeholder is no difference
            left[number] = right[number]
    diff = difflib.unified_diff(left, right, "expected", "actual", lineterm="")
    raise AssertionError("the transcripts differ:\n" + "\n".join(diff))


def _lines(transcript: Transcript) -> list[str]:
    return [str(it) for it in transcript.entries if not isinstance(it, Note)]


def replay_to_server(
    transcript: Transcript,
    handler: HandlerSource,
    *,
    splits: Splits = "every",
    **options: Unpack[ServerOptions],
) -> None:
    """Play the client to a server of this library, in memory, and compare its replies.

    The session runs once for each of *splits*, at most about 1000 times. Pass a *handler* class, or
    a function that returns a handler, if the handler keeps a state. A transcript with TLS needs
    :func:`replay_over_socket`.
    """
    _check_no_tls(transcript)
    for player in players(transcript, "C", splits):
        stream = ReplayStream(player)
        run(Conversation(stream, handler, ServerConfig(**options), Runtime()).run())
        player.finish()


def replay_to_client(
    transcript: Transcript,
    talk: Callable[[Client], object],
    *,
    splits: Splits = "every",
    **options: Unpack[ClientOptions],
) -> None:
    """Play the server to a client of this library, in memory, and compare its commands.

    Call *talk* with the client, once for each of *splits*; after it, the client sends QUIT. What it
    raises is raised, unless there is a difference. TLS is off unless *options* say otherwise.
    """
    _check_no_tls(transcript)
    options.setdefault("tls", TLSMode.NONE)
    config = ClientConfig(**options)
    for player in players(transcript, "S", splits):
        try:
            mode = config.tls_mode(25)
            with Client(
                run(start_client(Runtime(), ReplayStream(player), "localhost", config, mode))
            ) as client:
                talk(client)
        except Exception as error:
            if player.difference:
                raise AssertionError(player.difference) from error
            raise
        player.finish()


def replay_over_socket(  # noqa: PLR0913 - keywords
    transcript: Transcript,
    plays: Side,
    connect: Callable[[], socket.socket],
    *,
    splits: Splits = "octets",
    tls: Callable[[socket.socket], ssl.SSLSocket] | None = None,
    seconds: float = _SECONDS,
) -> None:
    """Play a side to any program, and compare what it says.

    *plays* is "C" to play the client, "S" to play the server. *connect* returns a new connection
    for each of *splits*, which is closed at the end. Where the transcript starts TLS, call *tls*,
    which returns the connection with TLS. A session takes at most so many *seconds*.
    """
    for player in players(transcript, plays, splits):
        with connect() as sock:
            _play(player, sock, tls, time.monotonic() + seconds)
        player.finish()


def _play(
    player: Player,
    sock: socket.socket,
    tls: Callable[[socket.socket], ssl.SSLSocket] | None,
    deadline: float,
) -> None:
    try:
        while not player.is_over:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            if player.awaits_tls:
                if tls is None:
                    raise ValueError("the transcript starts TLS; pass tls=... to wrap the socket")
                sock = tls(sock)
                player.tls_started()
            elif piece := player.next_piece():
                sock.sendall(piece)
            elif data := sock.recv(65_536):
                player.take(data)
            else:
                player.end()
    except TimeoutError:
        player.end("was silent for too long")
    except OSError as error:
        player.end(f"broke the connection ({error})")
    finally:
        sock.close()


def rerun(
    transcript: Transcript, handler: HandlerSource, **options: Unpack[ServerOptions]
) -> Transcript:
    """Send what the client of *transcript* sent to a server of this library, in memory, without
    waiting for its replies. Return what really happens. For :func:`.shrink`."""
    _check_no_tls(transcript)
    check_playable(transcript, "C")
    stream = _RerunStream(transcript)
    run(Conversation(stream, handler, ServerConfig(**options), Runtime()).run())
    return stream.recorder.transcript


class ReplayStream:
    """A stream whose peer is played from a transcript. Implements :class:`.ports.Stream`."""

    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("127.0.0.1", 49152)

    def __init__(self, player: Player) -> None:
        self._player = player

    async def read(self, timeout: float | None) -> bytes:
        if not (piece := self._player.next_piece()) and not self._player.is_over:
            if timeout == 0:
                raise TimedOut("nothing has arrived")
            self._player.end("waits for more, and the transcript waits, too,")
        return piece

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._player.take(data)

    async def end(self) -> None:
        """Do nothing: the transcript decides when the other side ends."""

    async def close(self) -> None:
        """Do nothing."""

    def interrupt(self) -> None:
        """Do nothing: a server in memory is not stopped."""


class _RerunStream(ReplayStream):
    def __init__(self, transcript: Transcript) -> None:
        self.recorder = Recorder(masks=False)
        lines = (it for it in transcript.entries if isinstance(it, Line))
        groups = groupby(lines, lambda it: it.side)
        self._turns = deque(b"".join(it.octets for it in of) for side, of in groups if side == "C")

    async def read(self, timeout: float | None) -> bytes:
        if timeout == 0:
            raise TimedOut("nothing has arrived")
        data = self._turns.popleft() if self._turns else b""
        self.recorder.feed("C", data)
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.recorder.feed("S", data)


def _check_no_tls(transcript: Transcript) -> None:
    if any(isinstance(it, TLS) for it in transcript.entries):
        raise ValueError("the transcript starts TLS; use replay_over_socket for it")
