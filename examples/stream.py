"""A server that streams each message to a file, so no message is held in memory."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from smtpproto import Envelope, Handler, Limits, Reply, Session
from smtpproto.adapters.blocking import serve


class FileSink:
    """A sink that writes to a temporary file, which gets its final name on commit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        handle, name = tempfile.mkstemp(dir=folder, prefix=".")
        self._path = Path(name)
        self._file = os.fdopen(handle, "wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> Reply:
        self._file.flush()
        os.fsync(self._file.fileno())  # a message that gets a 250 reply must not be lost
        self._file.close()
        name = f"{self._path.name[1:]}.eml"
        self._path.rename(self._folder / name)
        return Reply(250, "2.0.0", f"stored as {name}")

    def abort(self) -> None:
        self._file.close()
        self._path.unlink()


class Store(Handler):
    """Stores each message in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def data(self, session: Session, envelope: Envelope) -> FileSink:
        return FileSink(self._folder)


def main(folder: str = ".", port: int = 2525) -> None:
    limits = Limits(message_size=None)
    with serve(Store(Path(folder)), "127.0.0.1", port, limits=limits) as server:
        print(f"listening on port {server.port}")
        server.wait()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
