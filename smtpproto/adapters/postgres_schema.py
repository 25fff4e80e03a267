"""The tables of a queue in PostgreSQL, and their versions."""

from __future__ import annotations

import logging

from ..errors import QueueFailed
from .postgres_connection import Connection, Database, sql

__all__ = ["set_up"]

log: logging.Logger = logging.getLogger("smtpproto.queue")

# The tables of SQLite's queue, and those of the processes that work on it. A process that works is
# an `owner`: as long as it lives it notes when (`beat`) and its last transaction (`work`). It is
# `lost` if it did not for `patience` seconds; its deliveries wait again then. A `sleeper` has found
# nothing to do, and wants to be notified. A `member` delivers, and shares limits with the others.
# A `post` is what it lets others see of its destinations, as JSON.
# Large contents are written before their messages, which are `arriving` then. See sqlite_schema for
# `lane`, and for the keys.
_VERSIONS = [
    """
    CREATE SEQUENCE message_key;
    CREATE TABLE message (
        key bigint PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE,
        sender text COLLATE "C" NOT NULL, sender_domain text COLLATE "C" NOT NULL,
        priority smallint NOT NULL, size bigint NOT NULL, arrived double precision NOT NULL,
        not_before double precision NOT NULL, data text NOT NULL, "left" double precision);
    CREATE INDEX message_queued ON message (arrived, size) WHERE "left" IS NULL;
    CREATE INDEX message_left ON message ("left") WHERE "left" IS NOT NULL;
    CREATE TABLE body (
        message bigint, number integer, crc bigint NOT NULL, octets bytea NOT NULL,
        PRIMARY KEY (message, number));
    ALTER TABLE body ALTER octets SET STORAGE EXTERNAL;
    CREATE TABLE arriving (message bigint PRIMARY KEY, owner bigint NOT NULL);
    CREATE INDEX arriving_owner ON arriving (owner);
    CREATE TABLE owner (
        key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
        patience double precision NOT NULL, beat timestamptz NOT NULL,
        work bigint NOT NULL DEFAULT 0, lost timestamptz) WITH (fillfactor = 20);
    CREATE TABLE sleeper (owner bigint PRIMARY KEY);
    CREATE TABLE member (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner bigint NOT NULL,
        seen bigint NOT NULL DEFAULT 0);
    CREATE TABLE post (
        owner bigint PRIMARY KEY, at timestamptz NOT NULL, destinations text NOT NULL);
    CREATE TABLE delivery (
        key bigint PRIMARY KEY, priority smallint NOT NULL, domain text COLLATE "C" NOT NULL,
        origin text COLLATE "C" NOT NULL, address text COLLATE "C" NOT NULL,
        state smallint NOT NULL, due double precision NOT NULL, attempts integer NOT NULL,
        warned boolean NOT NULL, reason text NOT NULL, recipient text NOT NULL, log text NOT NULL,
        fate text, at double precision, owner bigint)
        WITH (autovacuum_vacuum_scale_factor = 0.02);
    CREATE INDEX delivery_waiting ON delivery (domain, origin, priority, due, key)
        WHERE state = 0 AND fate IS NULL;
    CREATE INDEX delivery_leased ON delivery (owner) WHERE state = 1 AND fate IS NULL;
    CREATE INDEX delivery_held ON delivery (domain) WHERE state = 2 AND fate IS NULL;
    CREATE TABLE lane (
        priority smallint, domain text COLLATE "C", origin text COLLATE "C",
        due double precision NOT NULL, PRIMARY KEY (priority, domain, origin))
        WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX lane_due ON lane (priority, due, domain, origin);
    """,
]


def set_up(connection: Connection, database: Database, *, create: bool) -> None:
    """Check the tables; to *create* is to make them, too, or to bring them to the present version.
    Raises QueueFailed if the database cannot have them, or if they are of another version."""
    (encoding,) = connection.execute("SHOW server_encoding").fetchone() or ("",)
    if encoding != "UTF8":
        check = "make one by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        raise QueueFailed(f"{database.name} has the encoding {encoding}, not UTF8", check=check)
    if create and connection.execute("SHOW fsync").fetchone() == ("off",):
        log.warning("%s has fsync = off: a power loss may lose mail", database.name)
    with connection.transaction():
        if create:  # one process after the other
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (database.schema,))
        version = _version(connection)
        if version > len(_VERSIONS):
            raise QueueFailed(
                f"the queue {database.name} has version {version}, and this program knows "
                f"{len(_VERSIONS)}",
                check="whether a newer version of this library has written it",
            )
        if version < len(_VERSIONS) and not create:
            check = "the URL, its user, and that an MTA of this version has opened the queue once"
            raise QueueFailed(f"there is no queue in {database.name}, or an old one", check=check)
        if version < len(_VERSIONS):
            _migrate(connection, database.schema, version)


def _version(connection: Connection) -> int:
    """Return the version of the tables; 0 if there are none."""
    if connection.execute("SELECT to_regclass('version')").fetchone() == (None,):
        return 0
    row = connection.execute("SELECT number::integer FROM version").fetchone()
    return 0 if row is None else int(row[0])


def _migrate(connection: Connection, schema: str, version: int) -> None:
    if not version:
        connection.execute(sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        connection.execute("CREATE TABLE version (number integer NOT NULL)")
        connection.execute("INSERT INTO version VALUES (0)")
    for script in _VERSIONS[version:]:
        connection.execute(sql(script))
    connection.execute("UPDATE version SET number = %s", (len(_VERSIONS),))
