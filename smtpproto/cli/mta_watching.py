"""What lets people and programs watch ``smtpproto mta``: its log, and pages on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from ..adapters.mta_base import MTABase
from ..adapters.status_page import serve_status
from .toml_table import Table

if TYPE_CHECKING:
    from ..adapters.prometheus_client import Metrics

__all__ = ["Watching", "read_watching"]


@frozen
class Watching:
    """The ports of the pages; None: there are none."""

    status_port: int | None = None
    metrics_port: int | None = None
    metrics: Metrics | None = None

    @contextmanager
    def serve(self, mail: MTABase) -> Iterator[list[str]]:
        """Serve the pages until the block ends; yield their URLs. Raises OSError."""
        with ExitStack() as stack:
            urls = []
            if self.status_port is not None:
                urls.append(stack.enter_context(serve_status(mail, self.status_port)))
            if self.metrics is not None and self.metrics_port is not None:
                urls.append(stack.enter_context(self.metrics.serve(mail, self.metrics_port)))
            yield urls


def read_watching(table: Table) -> Watching:
    """Return what ``[status]`` and ``[metrics]`` say."""
    status, port = _port(table, "status"), _port(table, "metrics")
    if port is None:
        return Watching(status)
    try:
        from ..adapters.prometheus_client import Metrics  # noqa: PLC0415 - it is an extra
    except ImportError:
        text = "needs prometheus-client: pip install 'smtpproto-sansio[metrics]'"
        raise table.error("metrics", text) from None
    return Watching(status, port, Metrics())


def _port(table: Table, name: str) -> int | None:
    """Return the port in the table *name*; None if there is no such table."""
    if table.value(name) is None:
        return None
    its = table.table(name)
    port = its.need("port", int)
    its.end()
    if not 0 <= port <= 65535:
        raise its.error("port", f"must be 0 to 65535, not {port}")
    return port
