"""The port that keeps MTA-STS policies over restarts (RFC 8461 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from attrs import frozen

from ..ports import Runtime
from .mta_sts import MTASTSPolicy

__all__ = ["KeptPolicy", "MTASTSStore"]


@frozen(kw_only=True)
class KeptPolicy:
    """A policy that was fetched."""

    domain: str
    """The domain, in A-labels."""
    policy: MTASTSPolicy
    id: str
    """The id of the record with which it was fetched."""
    fetched_at: float
    """When, in seconds since the epoch."""

    @property
    def expires(self) -> float:
        """When it is too old, in seconds since the epoch."""
        return self.fetched_at + self.policy.max_age


class MTASTSStore(Protocol):
    """Keeps policies. Tasks, threads and processes may use it at the same time.

    It raises nothing: what cannot be read or written is logged, and counts as not kept.
    """

    async def load(self, runtime: Runtime) -> Iterable[KeptPolicy]:
        """Return the policies that are kept, at most ``limits.STS_POLICIES``."""
        ...

    async def save(self, kept: KeptPolicy, runtime: Runtime) -> None:
        """Keep a policy in place of the former one of its domain."""
        ...
