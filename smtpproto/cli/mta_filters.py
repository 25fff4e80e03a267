"""``[[filter]]`` in the configuration of ``smtpproto mta``: milters and spamd."""

from __future__ import annotations

from functools import partial

from ..filters import Filter, Milter, Spamd
from .toml_table import Table, of_fields

__all__ = ["read_filter"]

_FILTER = {"timeout": float, "on_failure": str, "trusted": bool}
_SPAMD = {"refuse_at": float, "hold_at": float, "user": str, "max_size": int, "rewrite": bool}


def read_filter(table: Table) -> Filter:
    """Return the filter of one ``[[filter]]``. Raises ConfigError."""
    milter, spamd = table.take("milter", str), table.take("spamd", str)
    if milter is not None and spamd is None:
        return of_fields(table, partial(Milter, milter), _FILTER)
    if spamd is not None and milter is None:
        return of_fields(table, partial(Spamd, spamd), _FILTER | _SPAMD)
    raise table.error(None, "a filter has one of milter = ... and spamd = ...")
