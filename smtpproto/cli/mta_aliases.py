"""Aliases and SRS in the configuration of ``smtpproto mta``."""

from __future__ import annotations

from functools import partial

from ..grammar.secret import Secret
from ..mta.rewrite import Aliases
from ..mta.srs import SRS
from .toml_table import Table, of_fields

__all__ = ["read_aliases", "read_srs"]


def read_aliases(table: Table) -> Aliases | None:
    """Return what ``[aliases]`` of *table* says; None if it is not there. Raises ConfigError."""
    if table.value("aliases") is None:
        return None
    aliases, source = table.table("aliases"), dict[str, list[str]]()
    separator = aliases.take("separator", str)
    for name in aliases.names():
        source[name] = aliases.take_texts(name) or []
        with aliases.checks(name):
            Aliases({name: source[name]})
    with aliases.checks():
        return Aliases(source) if separator is None else Aliases(source, separator=separator)


def read_srs(table: Table) -> SRS | None:
    """Return what ``[srs]`` of *table* says; None if it is not there. Raises ConfigError."""
    if table.value("srs") is None:
        return None
    srs = table.table("srs")
    domain, file = srs.need("domain", str), srs.take_path("secrets_file")
    if file is None:
        raise srs.error(None, "secrets_file is missing; it is the path of a file")
    with srs.checks("secrets_file"), open(file, "rb") as opened:
        lines = [line.strip() for line in opened.read(65536).splitlines()]
    secrets = [Secret(line) for line in lines if line]
    if not secrets:
        raise srs.error("secrets_file", "must have a secret on its first line")
    return of_fields(
        srs, partial(SRS, domain, secrets=secrets), {"max_age": int, "hash_length": int}
    )
