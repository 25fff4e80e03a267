"""The journal of a bulk run: a text file with a line for each step of each recipient."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self

from ..errors import GrammarError, LocalProtocolError
from ..grammar.address import ForwardPath
from ..grammar.printable import printable, quoted

__all__ = ["Journal"]

_RESULTS = {"sending", "accepted", "refused", "unknown", "failed", "deferred"}
_FIELDS = 4  # time, result, address, reply


class Journal:
    """A file that tells a later run of ``send_each`` to whom nothing is to be sent any more.

    It is text: in each line stand the time, the result, the address and the reply, with tabs in
    between. Lines are only added, and each is on the disk before the run goes on. A line that a
    crash has cut off at the end is removed. While it is open, no other process can open it,
    except on Windows.

    Raises OSError if the file cannot be opened, GrammarError if it is not a journal, and
    LocalProtocolError if another run has it open.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        self._last: dict[str, str] = {}  # by the canonical address
        existed = os.path.exists(self.path)
        self._file = open(self.path, "a+b")  # noqa: SIM115 - it stays open
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise
        if not existed:
            _sync_folder(self.path)

    def _lock(self) -> None:
        with suppress(ImportError):  # Windows
            import fcntl  # noqa: PLC0415

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"another run has the journal {printable(self.path)} open"
                raise LocalProtocolError(text, check="which; or use another journal") from None

    def _read(self) -> None:
        self._file.seek(0)
        octets = self._file.read()
        end = octets.rfind(b"\n") + 1
        for number, line in enumerate(octets[:end].splitlines(), 1):
            fields = line.decode("utf-8", "replace").split("\t")
            if len(fields) != _FIELDS or fields[1] not in _RESULTS:
                shown = f"line {number} is {quoted(line)}"
                text = f"not a journal: {printable(self.path)}: {shown}"
                raise GrammarError(f"{text}; pass the path of a journal, or of a new file")
            self._last[_canonical(fields[2])] = fields[1]
        if end < len(octets):
            self._file.truncate(end)

    def last(self, recipient: ForwardPath) -> str:
        """Return what was recorded last of *recipient*; "" if nothing was."""
        return self._last.get(recipient.canonical, "")

    def record(self, time: float, result: str, recipients: Mapping[ForwardPath, str]) -> None:
        """Record *result* of *recipients*, each with a reply. Raises OSError."""
        when = datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
        told = [(path.canonical, printable(it)) for path, it in recipients.items()]
        lines = [f"{when}\t{result}\t{address}\t{reply}\n" for address, reply in told]
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._last.update((address, result) for address, _ in told)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _canonical(address: str) -> str:
    """Return the text that equal addresses share. A person may have written the line, and not all
    that can be sent can be read without leniencies."""
    try:
        return ForwardPath.of(address).canonical
    except GrammarError:
        return address


def _sync_folder(path: str) -> None:
    """Let a new file be found after a crash."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
