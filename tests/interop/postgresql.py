"""A PostgreSQL server of the tests' own, reached over a Unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from attrs import frozen

from tests.interop.programs import LOGS, TIMEOUT, require_user, shared_directory, skip_missing

_USER = "postgres"  # the server refuses to run as root
_TABLES = "message, body, arriving, delivery, owner, member, sleeper, lane, post"


@frozen
class PostgreSQL:
    """A server, with the database ``postgres``."""

    binaries: Path
    directory: Path

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"postgresql:///postgres?host={self.directory}&user={_USER}"

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run *statement* on the tables of a queue; return what it finds."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SET search_path = smtpproto")
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """Remove all that is in the queue."""
        if self.execute("SELECT to_regclass('message')") != [(None,)]:
            self.execute(f"TRUNCATE {_TABLES}")

    def cut_connections(self) -> None:
        """End all connections, as a restart does."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def start(self) -> None:
        """Start the server."""
        # Its sync is not what is tested: a server that dies leaves its files to the system.
        options = f"-k {self.directory} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self.directory / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; without more, like a crash."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def initialise(self) -> None:
        """Make the database."""
        self._run("initdb", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self.binaries / name), "-D", str(self.directory / "data"), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _USER, "--", *command]
        with (self.directory / "output").open("ab") as output:
            done = subprocess.run(
                command, stdout=output, stderr=output, timeout=3 * TIMEOUT, check=False
            )
        assert done.returncode == 0, (self.directory / "output").read_text()


@contextlib.contextmanager
def started() -> Iterator[PostgreSQL]:
    """Run a new server while the block runs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        skip_missing("postgresql")
    with shared_directory() as directory:
        if os.geteuid() == 0:
            require_user(_USER)
            shutil.chown(directory, _USER)
        server = PostgreSQL(found[-1].parent, directory)
        server.initialise()
        server.start()
        LOGS["PostgreSQL"] = directory / "log"
        try:
            yield server
        finally:
            LOGS.pop("PostgreSQL")
            server.stop()
