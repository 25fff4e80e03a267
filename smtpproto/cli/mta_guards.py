"""The guards in the configuration of ``smtpproto mta``: limits, greylisting, lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import fields

from ..policy import DNSList, Greylist, Limit, StateStore
from ..transfer import Guards, ReceiveLimits, SendLimits
from .toml_table import Table, of_fields

__all__ = ["read_guards"]

T = TypeVar("T")

_GREYLIST = {it.name: int if it.name == "passes" else float for it in fields(Greylist)}
_RECEIVE = [it.name for it in fields(ReceiveLimits)]
_SEND = [it.name for it in fields(SendLimits)]
_LIST = {"weight": float, "domains": bool, "mask": int}
_NUMBERS = {"refuse_at": float, "lists_timeout": float, "prefixes": tuple}


def read_guards(table: Table, store: StateStore) -> Guards:
    """Return what ``[guards]`` of *table* says; *store* keeps their states. Raises ConfigError."""
    table = table.table("guards")
    options: dict[str, Any] = {}
    if (connections := table.take("connections", str)) is not None:
        with table.checks("connections"):
            options["connections"] = Limit.parse(connections)
    for name in ("exempt", "exempt_recipients"):
        if (texts := table.take_texts(name)) is not None:
            with table.checks(name):
                _make(**{name: texts})
            options[name] = texts
    options["receive"] = _limits(table.table("receive"), ReceiveLimits, _RECEIVE)
    options["send"] = _limits(table.table("send"), SendLimits, _SEND)
    is_there = table.value("greylist") is not None
    greylist = of_fields(table.table("greylist"), Greylist, _GREYLIST)
    options["greylist"] = greylist if is_there else None
    options["lists"] = [_list(it) for it in table.tables("lists")]
    return of_fields(table, partial(_make, store=store, **options), _NUMBERS)


def _make(**options: Any) -> Guards:
    return Guards(**options)


def _limits(table: Table, make: Callable[..., T], names: Sequence[str]) -> T:
    """Return ``make(...)`` with the limits in *table*: each a text, or a text for each name."""
    values: dict[str, Any] = {}
    for name in names:
        if isinstance(table.value(name), dict):
            its = table.table(name)
            values[name] = {key: its.need(key, str) for key in its.names()}
        elif (text := table.take(name, str)) is not None:
            values[name] = text
        with table.checks(name):
            make(**values)
    table.end()
    return make(**values)


def _list(table: Table) -> DNSList:
    make: Callable[..., DNSList] = partial(DNSList, table.need("zone", str))
    with table.checks("zone"):
        make()
    if (codes := table.take_texts("codes")) is not None:
        make = partial(make, codes=codes)
        with table.checks("codes"):
            make()
    return of_fields(table, make, _LIST)
