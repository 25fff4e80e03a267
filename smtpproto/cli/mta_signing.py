"""Checks, signing and reports in the configuration of ``smtpproto mta``: who wrote a message."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..adapters.https import HTTPSFetch
from ..errors import GrammarError
from ..policy import DKIM, DKIMSigner, Inspection
from ..transfer.reporting import DailyReports
from .toml_table import Table, of_fields

__all__ = ["read_daily_reports", "read_inspection", "read_sealer", "read_signer"]

_FLAGS = ("refuse_dmarc", "refuse_spf", "defer", "received_spf", "logins")
_REPORTS = {"tls": bool, "dmarc": bool, "hourly": int, "rows": int, "octets": int}
_INSPECT = {"authserv_id": str, **dict.fromkeys(_FLAGS, bool), "timeout": float}


def read_inspection(table: Table) -> Inspection | None:
    """Return what ``[inspect]`` of *table* says; None if it is not there. Raises ConfigError."""
    is_there = table.value("inspect") is not None
    inspect = table.table("inspect")
    if not is_there:
        return None
    keys = _cryptography(table, "inspect").CryptographyKeys()
    sealers = inspect.take_texts("trusted_sealers") or ()
    find = _public_suffixes(inspect) if inspect.take("public_suffixes", bool) else None
    make = partial(Inspection, keys=keys, trusted_sealers=sealers, organizational_domain=find)
    return of_fields(inspect, make, _INSPECT)


def read_signer(table: Table) -> DKIMSigner | None:
    """Return what ``[[sign]]`` of *table* says; None if there is none. Raises ConfigError."""
    keys = [_key(it) for it in table.tables("sign")]
    return DKIMSigner(keys) if keys else None


def read_sealer(table: Table, inspect: Inspection | None) -> DKIM | None:
    """Return what ``[seal]`` of *table* says; None if it is not there. Raises ConfigError."""
    is_there = table.value("seal") is not None
    seal = table.table("seal")
    if is_there and inspect is None:
        raise table.error("seal", "needs [inspect]: a seal tells what was found out")
    return _key(seal) if is_there else None


def read_daily_reports(table: Table) -> DailyReports | None:
    """Return what ``[daily_reports]`` of *table* says; None if it is not there. Raises
    ConfigError."""
    if table.value("daily_reports") is None:
        return None
    reports = table.table("daily_reports")
    who = reports.need("organization", str), reports.need("contact", str)
    return of_fields(reports, partial(DailyReports, *who, post=HTTPSFetch()), _REPORTS)


def _key(table: Table) -> DKIM:
    domain, selector = table.need("domain", str), table.need("selector", str)
    path, identity = table.take_path("key"), table.take("identity", str)
    password = table.take_secret("password_file")
    table.end()
    if path is None:
        raise table.error(None, "key is missing; it is the path of a private key")
    private_key = _cryptography(table, "key").PrivateKey
    with table.checks("key"):
        try:
            key = private_key.load(Path(path), password=password)
        except GrammarError as error:
            where = "; see password_file" if "password" in error.message else ""
            raise GrammarError(error.message + where) from None
    with table.checks():
        return DKIM(domain, selector=selector, key=key, identity=identity or "")


def _public_suffixes(table: Table) -> Callable[[str], str]:
    try:
        from ..adapters.publicsuffixlist import public_suffixes  # noqa: PLC0415 - it is an extra
    except ImportError as error:
        raise table.error("public_suffixes", str(error)) from None
    return public_suffixes()


def _cryptography(table: Table, name: str) -> Any:
    try:
        from ..adapters import cryptography_keys  # noqa: PLC0415 - it is an extra
    except ImportError as error:
        raise table.error(name, f"needs the extra auth: {error}") from None
    return cryptography_keys
