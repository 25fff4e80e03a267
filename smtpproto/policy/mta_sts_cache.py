"""Finds the MTA-STS policies of domains, and keeps them (RFC 8461 3.3, 5.1)."""

from __future__ import annotations

import enum
import logging

from attrs import define, evolve, field, frozen

from ..dns import Kind, Resolver
from ..errors import GrammarError, SMTPError, TLSFailed
from ..grammar.printable import printable
from ..limits import STS_POLICIES
from ..ports import Runtime, Semaphore
from .fetch import Fetch
from .mta_sts import MTASTSMode, MTASTSPolicy, sts_id
from .mta_sts_store import KeptPolicy, MTASTSStore

__all__ = ["MTASTSCache", "MTASTSFinding", "MTASTSTrouble"]

_log = logging.getLogger("smtpproto.policy")

_PATH = "/.well-known/mta-sts.txt"
_AGAIN = 300.0  # seconds between two attempts to fetch; RFC 8461 3.3 wants at least these
_REFRESH = 86400.0  # seconds after which a policy is fetched anew; RFC 8461 3.3 advises a day
_RENEW = 3600.0  # seconds between two attempts to renew a policy without mail for its domain
_AT_ONCE = 100  # policies that one call renews


class MTASTSTrouble(enum.Enum):
    """Why a policy could not be had, in the words of RFC 8460 4.3.2."""

    FETCH_ERROR = "sts-policy-fetch-error"
    INVALID = "sts-policy-invalid"
    WEBPKI_INVALID = "sts-webpki-invalid"


@frozen(kw_only=True)
class MTASTSFinding:
    """What is known of a domain's policy."""

    policy: MTASTSPolicy | None = None
    """The one that applies: fetched now, or kept from earlier. None: the domain has none."""
    reason: str
    """Where the policy is from, or why there is none, for people."""
    trouble: MTASTSTrouble | None = None
    """What went wrong when it was to be fetched."""


@define(eq=False)
class _Entry:
    """What is kept of a domain."""

    turn: Semaphore
    kept: KeptPolicy | None = None
    renewed_at: float = 0.0
    """When :meth:`MTASTSCache.renew` looked at it."""
    tried_at: float = -_AGAIN
    tried: str = ""
    """The id with which it was tried last."""
    failure: MTASTSFinding | None = None
    """Why that failed."""

    def valid(self, now: float) -> bool:
        """Return whether the policy is here and not too old."""
        return self.kept is not None and now < self.kept.expires

    def is_due(self, now: float) -> bool:
        """Return whether to fetch the policy anew, although there is no mail for the domain."""
        if self.kept is None or self.kept.policy.mode is MTASTSMode.NONE or not self.valid(now):
            return False
        return now >= self.kept.fetched_at + _REFRESH and now >= self.renewed_at + _RENEW


@define(eq=False)
class MTASTSCache:
    """Finds and keeps policies. Tasks, or threads, may use it at the same time.

    A policy is kept for its max_age even if its record or its server is gone, so that nobody can
    remove it by an attack on the DNS. It is fetched anew if the id in the record differs, once a
    day, and by :meth:`refresh`; not more often than every five minutes. Without a *store* it is
    lost at the end of the process.
    """

    _runtime: Runtime
    resolver: Resolver
    """It may be replaced at any time, and so may *fetch*."""
    fetch: Fetch
    store: MTASTSStore | None = None
    """Keeps policies over restarts."""
    _loading: Semaphore | None = field(init=False)
    """Whose turn it is to load them; None: they have been loaded."""
    _kept: dict[str, _Entry] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._loading = self._runtime.semaphore(1)

    async def find(self, domain: str, *, now: float) -> MTASTSFinding:
        """Return what is known of the policy of *domain*, a name in A-labels, at *now* (seconds
        since the epoch). Raises nothing for what networks, servers and the DNS do."""
        return await self._find(domain, now, anew=False)

    async def refresh(self, domain: str, *, now: float) -> MTASTSFinding:
        """Like :meth:`find`, but fetch the policy although its id is the same, because a host fails
        it: an operator may have changed the policy and not the record."""
        return await self._find(domain, now, anew=True)

    async def renew(self, *, now: float) -> None:
        """Fetch policies anew that are older than a day, so that they do not end because there is
        no mail for their domains (RFC 8461 3.3).

        Call it every few minutes. What fails is logged, and tried again after an hour.
        """
        await self._load(now)
        due = [(it.renewed_at, domain) for domain, it in [*self._kept.items()] if it.is_due(now)]
        for _, domain in sorted(due)[:_AT_ONCE]:
            entry = self._entry(domain, now)
            entry.renewed_at, before = now, entry.kept
            found = await self.find(domain, now=now)
            if entry.kept is before:
                _log.warning("the MTA-STS policy of %s is not renewed: %s", domain, found.reason)

    async def _load(self, now: float) -> None:
        """Take over what the store has kept."""
        if (loading := self._loading) is None:
            return
        await loading.acquire()
        try:
            if self._loading is not None and self.store is not None:
                for kept in await self.store.load(self._runtime):
                    entry = self._entry(kept.domain, now)
                    # The clock may have been wrong.
                    entry.kept = evolve(kept, fetched_at=min(kept.fetched_at, now))
            self._loading = None
        finally:
            loading.release()

    async def _find(self, domain: str, now: float, *, anew: bool) -> MTASTSFinding:
        await self._load(now)
        try:
            version = await self._version(domain)
        except GrammarError as error:
            return _kept(self._kept.get(domain), now, error.message)
        entry = self._entry(domain, now)
        await entry.turn.acquire()
        try:
            if not self._is_due(entry, version, now, anew=anew):
                known = MTASTSFinding(reason="") if entry.failure is None else entry.failure
                return evolve(_kept(entry, now, known.reason), trouble=known.trouble)
            entry.failure = await self._try(domain, entry, version, now)
            entry.tried_at, entry.tried = now, version  # not if it was cancelled
            if entry.failure is None:
                return _kept(entry, now, "")
            return evolve(_kept(entry, now, entry.failure.reason), trouble=entry.failure.trouble)
        finally:
            entry.turn.release()

    @staticmethod
    def _is_due(entry: _Entry, version: str, now: float, *, anew: bool) -> bool:
        """Return whether to fetch the policy."""
        if entry.tried == version and now < entry.tried_at + _AGAIN:
            return False
        kept = entry.kept
        if anew or kept is None or kept.id != version:
            return True
        return now >= min(kept.fetched_at + _REFRESH, kept.expires)

    async def _version(self, domain: str) -> str:
        """Return the id in the record of *domain*. Raises GrammarError if there is none."""
        answer = await self.resolver.lookup(f"_mta-sts.{domain}", Kind.TXT)
        if not answer.known:
            detail = f"{answer.status.value} {answer.detail[:200]}".strip()
            raise GrammarError(f"the look-up of its record ended so: {printable(detail)}")
        return sts_id(answer.octets)

    async def _try(
        self, domain: str, entry: _Entry, version: str, now: float
    ) -> MTASTSFinding | None:
        """Fetch the policy of *domain* into *entry*; return what failed, or None."""
        try:
            policy = await self._fetched(domain)
        except (SMTPError, GrammarError) as error:
            if entry.kept is None or entry.kept.policy.mode is not MTASTSMode.NONE:
                _log.warning("no MTA-STS policy of %s: %s", domain, error.message)
            return MTASTSFinding(reason=error.message, trouble=_trouble(error))
        entry.kept = KeptPolicy(domain=domain, policy=policy, id=version, fetched_at=now)
        if self.store is not None:
            await self.store.save(entry.kept, self._runtime)
        return None

    async def _fetched(self, domain: str) -> MTASTSPolicy:
        found = await self.fetch.get(f"mta-sts.{domain}", _PATH, self._runtime)
        if found.status != 200:
            raise SMTPError(f"the server of its policy answered {found.status}, not 200")
        if found.media_type != "text/plain":
            kind = printable(found.media_type[:100])
            raise GrammarError(f"its policy has the media type {kind!r}, not text/plain")
        return MTASTSPolicy.parse(found.body)

    def _entry(self, domain: str, now: float) -> _Entry:
        entry = self._kept.get(domain)
        if entry is None:
            if len(self._kept) >= STS_POLICIES:
                self._make_room(now)
            entry = self._kept.setdefault(domain, _Entry(self._runtime.semaphore(1)))
        return entry

    def _make_room(self, now: float) -> None:
        """Forget what holds no policy; if that is not enough, the policies that end first."""
        left = [(it.kept.expires, name) for name, it in [*self._kept.items()] if it.kept]
        left = sorted(it for it in left if it[0] > now)[-STS_POLICIES // 2 :]
        self._kept = {name: self._kept[name] for _, name in left}


def _kept(entry: _Entry | None, now: float, failure: str) -> MTASTSFinding:
    """Return the policy of *entry*, if it is not too old, although *failure*."""
    if entry is None or entry.kept is None or not entry.valid(now):
        return MTASTSFinding(reason=failure or "the policy is too old")
    why = f"; it is kept although {failure}" if failure else ""
    return MTASTSFinding(policy=entry.kept.policy, reason=f"the id is {entry.kept.id}{why}")


def _trouble(error: SMTPError | GrammarError) -> MTASTSTrouble:
    if isinstance(error, GrammarError):
        return MTASTSTrouble.INVALID
    if isinstance(error, TLSFailed):
        return MTASTSTrouble.WEBPKI_INVALID
    return MTASTSTrouble.FETCH_ERROR
