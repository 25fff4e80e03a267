"""``smtpproto --version``: the versions of the program and of what it uses."""

from __future__ import annotations

import platform
import ssl
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

EXTRAS = {
    "auth": ["cryptography"],
    "cli": ["rich", "shtab", "trustme"],
    "dns": ["dnspython"],
    "html": ["inscriptis"],
    "metrics": ["prometheus-client"],
    "postgres": ["psycopg"],
    "psl": ["publicsuffixlist"],
    "socks": ["python-socks"],
    "test": ["hypothesis", "pytest", "trustme"],
    "tls-exporter": ["pyOpenSSL", "service-identity"],
    "trio": ["trio"],
}
"""The packages of each extra, as in pyproject.toml."""


def versions() -> dict[str, Any]:
    """Return all versions for JSON; None for a package that is not installed."""
    from .. import __version__  # noqa: PLC0415 - the root package is in the same ring

    return {
        "smtpproto": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "openssl": ssl.OPENSSL_VERSION,
        "attrs": _found("attrs"),
        "extras": {extra: {it: _found(it) for it in its} for extra, its in EXTRAS.items()},
    }


def version_lines() -> Iterator[str]:
    """Yield the lines of ``--version``."""
    found = versions()
    yield f"smtpproto {found['smtpproto']}"
    yield f"Python {found['python']}, {found['openssl']}, attrs {found['attrs']}"
    for extra, packages in found["extras"].items():
        if None in packages.values():
            yield f'without {extra}: pip install "smtpproto-sansio[{extra}]"'
        else:
            yield f"with {extra}: " + ", ".join(f"{name} {it}" for name, it in packages.items())


def _found(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
