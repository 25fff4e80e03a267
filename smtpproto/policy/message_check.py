"""All checks of one message at once: SPF, DKIM, DMARC and ARC.

::

    verifier = MessageVerifier(SPFRequest(client="192.0.2.1", helo="mx.test", sender="ann@x.test"))
    for data in slices:
        verifier.feed(data)
    check = await verifier.check(resolver, keys, now=time.time())
    field = check.authentication_results("mx.example.com")  # to put before the message
    refusal = check.refusal()  # 550 5.7.26 ..., if the author's domain asks for it

Remove the fields that claim to be yours first: :func:`.strip_results`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from attrs import field, frozen
from attrs.validators import gt

from ..dns import Resolver
from ..grammar.ascii_case import lower
from ..grammar.printable import printable
from ..grammar.reply import GrammarError, Reply
from ..option_types import check_type, checked
from .arc import ARCCheck, ARCResult, ARCVerifier
from .authentication_results import AuthenticationResults, MethodResult
from .dkim_check import DKIMCheck, DKIMLimits
from .dkim_sign import as_domain
from .dkim_verify import DKIMVerifier
from .dmarc import DMARCCheck, DMARCResult, author_domains, check_dmarc
from .dmarc_record import DMARCPolicy
from .keys import Keys
from .spf import SPFCheck, SPFRequest, check_spf
from .spf_evaluation import ascii_name
from .spf_record import SPFResult

__all__ = ["Inspection", "MessageCheck", "MessageVerifier"]

_DEFAULT = DKIMLimits()
_SHOWN, _MOST_TEXT = 80, 200  # characters of a name, and of a text, in a reply


@frozen(kw_only=True)
class MessageCheck:
    """What was found out about a message."""

    dmarc: DMARCCheck
    dkim: tuple[DKIMCheck, ...] = ()
    """One for each signature, from the top."""
    spf: SPFCheck | None = None
    """None if the address of the client is not known."""
    arc: ARCCheck | None = None
    """None if it was not checked."""

    @classmethod
    def given_up(cls, request: SPFRequest | None, reason: str) -> MessageCheck:
        """Return the result of a check that took too long: temperror."""
        spf = None if request is None else SPFCheck.given_up(request, reason)
        return cls(spf=spf, dmarc=DMARCCheck(result=DMARCResult.TEMPERROR, reason=reason))

    @property
    def results(self) -> tuple[MethodResult, ...]:
        """The results for an Authentication-Results field: that of ARC only if there is a chain."""
        found = [] if self.spf is None else [MethodResult.of_spf(self.spf)]
        found += [*map(MethodResult.of_dkim, self.dkim), MethodResult.of_dmarc(self.dmarc)]
        if self.arc is not None and self.arc.result is not ARCResult.NONE:
            found.append(MethodResult.of_arc(self.arc))
        return tuple(found)

    def authentication_results(self, authserv_id: str) -> bytes:
        """Return the Authentication-Results field of the host *authserv_id*, with CRLF, for a place
        before the message."""
        return bytes(AuthenticationResults(authserv_id, self.results))

    def arc_override(self, sealers: Collection[str]) -> bool:
        """Return whether DMARC passed when the message came to the first of the hosts that are to
        be trusted, so that a failure here may be overridden (RFC 8617 7.2, RFC 9989 7.4).

        *sealers* are domains in A-labels and lower case: see :meth:`.ARCCheck.trusted_set`.
        """
        found = None if self.arc is None else self.arc.trusted_set(sealers)
        if found is None or not self.dmarc.author:
            return False
        text = found.authentication_results.decode("utf-8", "replace")
        try:
            results = AuthenticationResults.parse(text).results
        except GrammarError:
            return False
        passed = [it for it in results if (it.method, it.result) == ("dmarc", "pass")]
        authors = [it.value_of("header", "from") for it in passed if it.is_usable]
        return self.dmarc.author in [lower(ascii_name(it)) for it in authors]

    def refusal(
        self,
        *,
        dmarc: bool = True,
        spf: bool = True,
        defer: bool = False,
        trusted_sealers: Collection[str] = (),
    ) -> Reply | None:
        """Return the reply of a receiver that does what the domains ask for, or None: the message
        is accepted.

        550 5.7.26 (RFC 7372): DMARC has failed, and the author's domain asks to refuse. 550 5.7.1:
        there is no author, so that DMARC cannot be checked. 550 5.7.23: SPF has failed, and DMARC
        has not passed. *dmarc* and *spf* say which of them are followed. *defer*: 451 4.4.3 if the
        result of DMARC is TEMPERROR (RFC 9989 B.3.1). Neither DMARC nor SPF refuses what
        :meth:`arc_override` accepts for *trusted_sealers*.
        """
        if defer and self.dmarc.result is DMARCResult.TEMPERROR:
            return Reply(451, "4.4.3", [_shown_text(self.dmarc.reason), "Try again later"])
        if dmarc and self.dmarc.result is DMARCResult.PERMERROR:
            return Reply(550, "5.7.1", _no_author(self.dmarc))
        if self.arc_override(trusted_sealers):
            return None
        if dmarc and self.dmarc.disposition is DMARCPolicy.REJECT:
            return Reply(550, "5.7.26", self._dmarc_failed())
        if not spf or self.spf is None or self.dmarc.result is DMARCResult.PASS:
            return None
        return self.spf.refusal if self.spf.result is SPFResult.FAIL else None

    def _dmarc_failed(self) -> list[str]:
        author, policy = _shown(self.dmarc.author), _shown(self.dmarc.policy_domain)
        spf = (
            "none" if self.spf is None else f"{self.spf.result.value} for {_shown(self.spf.domain)}"
        )
        signatures = [_told(it.result.value, it.domain) for it in self.dkim]
        return [
            f"{author} does not answer for this message, and the DMARC record of {policy} asks to",
            f"refuse it. SPF: {spf}; DKIM: {', '.join(signatures[:3]) or 'none'}.",
            f"Sign it with DKIM for {author}, or send it from a host that SPF allows for {author}",
        ]


def _no_author(check: DMARCCheck) -> list[str]:
    text = _shown_text(check.reason)
    return [f"The author of this message cannot be told: {text}", "Write one From field"]


def _told(result: str, domain: str) -> str:
    return f"{result} for {_shown(domain)}" if domain else result


def _shown_text(text: str) -> str:
    return printable(text.encode("ascii", "backslashreplace"))[:_MOST_TEXT]


def _shown(name: str) -> str:
    return printable(name.encode("ascii", "backslashreplace"))[:_SHOWN]


class MessageVerifier:
    """Checks one message, whose octets come in slices: :meth:`feed` them, then :meth:`check`.

    *request* says who sends it; None if the address of the client is not known: SPF is left out.
    *organizational_domain* is for :func:`.check_dmarc`.
    """

    def __init__(
        self,
        request: SPFRequest | None,
        limits: DKIMLimits = _DEFAULT,
        *,
        organizational_domain: Callable[[str], str] | None = None,
    ) -> None:
        check_type("request", request, SPFRequest, "SPFRequest(...), or None")
        self.request = request
        """It may be set before :meth:`check`, for example by the header section."""
        self._organizational_domain = organizational_domain
        self._dkim = DKIMVerifier(limits)
        self._arc = ARCVerifier(limits)

    def feed(self, data: bytes) -> None:
        """Take the next slice, with CRLF line ends. Raises GrammarError if the header section is
        longer than 1 MiB."""
        self._dkim.feed(data)
        self._arc.feed(data)

    def finish(self) -> bytes:
        """Return the header section of the message, whose octets were all fed."""
        self._dkim.finish()
        return self._dkim.header

    async def check(self, resolver: Resolver, keys: Keys, *, now: float) -> MessageCheck:
        """Return what was found out about the message, whose octets were all fed.

        *now* is the time in seconds since the epoch. Raises nothing but what *resolver* raises. A
        caller bounds its time, and takes :meth:`MessageCheck.given_up` when it is over.
        """
        spf = None if self.request is None else await check_spf(self.request, resolver)
        dkim = await self._dkim.results(resolver, keys, now=now)
        arc = await self._arc.check(resolver, keys, now=now)
        try:
            authors = author_domains(self._dkim.header)
        except GrammarError as error:
            dmarc = DMARCCheck(result=DMARCResult.PERMERROR, reason=printable(error.message))
        else:
            dmarc = await check_dmarc(
                authors, spf, dkim, resolver, organizational_domain=self._organizational_domain
            )
        return MessageCheck(spf=spf, dkim=tuple(dkim), dmarc=dmarc, arc=arc)


def _as_domains(value: Iterable[str]) -> frozenset[str]:
    if isinstance(value, str):
        raise TypeError(f"trusted_sealers cannot be a str; pass [{value!r}]")
    return frozenset(map(as_domain, value))


@checked
@frozen(kw_only=True)
class Inspection:
    """What a server does to find out who wrote a message that a stranger sends, and what it does
    about it. The default adds an Authentication-Results field to each message, and refuses none."""

    authserv_id: str = ""
    """The name under which the results are given (RFC 8601 2.2). "": that of the server. Fields of
    other hosts that claim it are removed."""
    refuse_dmarc: bool = False
    """Whether to refuse what the author's domain asks to refuse, and messages without a usable From
    field. Mail that lists and forwarders pass on may be lost by it (RFC 9989 7.4)."""
    refuse_spf: bool = False
    """Whether to refuse what SPF does not allow, unless DMARC passes by a signature."""
    defer: bool = False
    """Whether to refuse for now, with 451, what cannot be checked by DMARC because the DNS does not
    answer."""
    trusted_sealers: frozenset[str] = field(default=frozenset(), converter=_as_domains)
    """Domains of lists and forwarders whose seals (ARC, RFC 8617) are believed: a message is not
    refused for DMARC or SPF if it has come by none but these since DMARC passed."""
    received_spf: bool = False
    """Whether to put a Received-SPF field (RFC 7208 9.1) before each message, too."""
    logins: bool = False
    """Whether to give the names of users who have logged in (RFC 8601 2.7.4), in a field before
    their messages. All who get these see it."""
    timeout: float = field(default=30.0, validator=gt(0))
    """The seconds that the checks may take; then the results are temperror."""
    dkim: DKIMLimits = _DEFAULT
    """What signatures are accepted."""
    keys: Keys | None = None
    """Reads public keys. None: :class:`.CryptographyKeys`."""
    organizational_domain: Callable[[str], str] | None = None
    """Finds the domain of an organization, for :func:`.check_dmarc`. None: the tree walk."""

    def refusal(self, check: MessageCheck) -> Reply | None:
        """Return the reply that refuses a message, or None."""
        return check.refusal(
            dmarc=self.refuse_dmarc,
            spf=self.refuse_spf,
            defer=self.defer,
            trusted_sealers=self.trusted_sealers,
        )
