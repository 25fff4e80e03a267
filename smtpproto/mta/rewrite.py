"""What recipients stand for: aliases, virtual domains, catch-all addresses (RFC 5321 3.9.1).

:func:`expand` follows aliases, whatever they are, to the addresses where mail goes, and remembers
how it got there. It comes to an end for any aliases: it asks for each address once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from attrs import evolve, field, frozen
from attrs.validators import ge, gt, le

from ..errors import GrammarError
from ..grammar.address import ForwardPath, Mailbox, canonical_of
from ..grammar.ascii_case import lower
from ..grammar.domain import to_ascii_host
from ..grammar.dsn import Notify
from ..grammar.parameters import RcptParameters
from ..grammar.reply import Reply
from ..option_types import checked, wrong_type
from ..ports import result
from .queue import Delivery, Forwarding, Message
from .store import address_key, domain_key

__all__ = [
    "NO_ALIASES", "AliasSource", "Aliases", "Expansion", "Target", "Targets", "deliveries_of",
    "expand",
]  # fmt: skip

_MAX_VIA = 50  # addresses of a way that are remembered
_NOBODY = Reply(550, "5.1.1", "No such mailbox")
_LOOP = Reply(550, "5.4.6", "The aliases of this address lead back to it")
_TOO_MANY = Reply(451, "4.3.5", "The aliases of this address lead to too many others")

Targets = str | Mailbox | ForwardPath | Iterable[str | Mailbox | ForwardPath]
"""What an address stands for: one address or several. ``@example.org`` is the same local-part at
that domain. None at all: the address is refused."""

AliasSource = Mapping[str, Targets] | Callable[[str], Targets | Awaitable[Targets | None] | None]
"""Aliases: a mapping, or a function, which may be ``async``, that returns None for an address that
is no alias. The keys are addresses in lower case and with A-labels, or ``@`` and a domain."""


def _to_key(text: str) -> str:
    """Return the key of an alias in canonical form. Raises GrammarError."""
    if text.startswith("@"):
        return "@" + to_ascii_host(text[1:]).canonical
    address = canonical_of(text)
    if address is None or ("@" not in address and address != "postmaster"):
        raise GrammarError(
            f"not an alias: {text[:100]!r}; pass info@x.test, or @x.test for all addresses of a "
            "domain that are not known"
        )
    return lower(address)


def _to_target(value: str | Mailbox | ForwardPath) -> str | ForwardPath:
    """Return an address as a path, ``@`` and a domain as it is. Raises GrammarError, TypeError."""
    if isinstance(value, str) and value.startswith("@"):
        return "@" + str(to_ascii_host(value[1:]))
    return ForwardPath.of(value)


def _to_targets(values: Targets) -> tuple[str | ForwardPath, ...]:
    several = values if not isinstance(values, str | Mailbox | ForwardPath) else [values]
    if not isinstance(several, Iterable):
        raise wrong_type("an alias", values, "an address, or a list of addresses")
    return tuple(map(_to_target, several))


def _to_source(source: AliasSource) -> AliasSource:
    """Return *source*, a mapping with its keys in canonical form. Raises GrammarError."""
    if not isinstance(source, Mapping):
        return source
    found: dict[str, Targets] = {}
    for key, targets in source.items():
        if found.setdefault(_to_key(key), read := _to_targets(targets)) is not read:
            raise ValueError(f"there are two aliases {key!r}; keep one")
    return found


def _to_domains(domains: Iterable[str]) -> frozenset[str]:
    if isinstance(domains, str):
        raise TypeError(f"domains cannot be a str; pass [{domains!r}]")
    return frozenset(to_ascii_host(it).canonical for it in domains)


@checked
@frozen
class Aliases:
    """Which addresses of this server stand for others: ``Aliases(find, domains=["example.com"])``.

    Aliases are asked for addresses whose mail is delivered here, or is taken for other reasons, as
    that of *domains*. The address itself comes first, then the one without its detail, and, if
    nobody has such a mailbox, the catch-all ``@`` and the domain.
    """

    source: AliasSource = field(converter=_to_source)
    domains: frozenset[str] = field(default=frozenset(), converter=_to_domains, kw_only=True)
    """Virtual domains: of all addresses there, only those that are aliases are known. The domains
    of the keys of a mapping belong to them. A domain with a route of its own is none."""
    separator: str = field(default="+", kw_only=True)
    """What begins the detail in a local-part: with "+", an alias ``ann@example.org`` is also that
    of ``ann+lists@example.org``. Addresses in the same domain for which it stands get the detail.
    "": there is no detail."""
    max_depth: int = field(default=20, validator=[ge(1), le(_MAX_VIA)], kw_only=True)
    """How many aliases may lead to each other."""
    max_recipients: int = field(default=1000, validator=[ge(1), le(100_000)], kw_only=True)
    """To how many addresses the aliases of one address may lead."""
    timeout: float = field(default=10.0, validator=gt(0), kw_only=True)
    """Seconds that a function may take for the aliases of one address; then it is 451 4.3.0."""

    def __attrs_post_init__(self) -> None:
        if isinstance(self.source, Mapping):
            own = {key.rpartition("@")[2] for key in self.source if "@" in key}
            object.__setattr__(self, "domains", self.domains | own)

    @property
    def is_function(self) -> bool:
        """Whether a function knows the aliases."""
        return not isinstance(self.source, Mapping)

    def may_have(self, path: ForwardPath) -> bool:
        """Return whether *path* is an alias, as far as that is known without a function."""
        return not isinstance(self.source, Mapping) or address_key(path) in self.source

    async def find(self, path: ForwardPath) -> Sequence[ForwardPath] | None:
        """Return what *path* stands for; None if it is no alias. Raises what the function does, and
        GrammarError and TypeError for what is no address."""
        if (found := await self._ask(address_key(path))) is not None:
            return _at(path, found)
        user, separator, detail = path.local_part.partition(self.separator or "\0")  # in none
        if path.mailbox is None or not (user and separator):
            return None
        base = ForwardPath(Mailbox(user, path.domain, long=True))
        if (found := await self._ask(address_key(base))) is None:
            return None
        return _at(path, found, separator + detail)

    async def catch_all(self, path: ForwardPath) -> Sequence[ForwardPath] | None:
        """Return what all unknown addresses in the domain of *path* stand for; None for nobody.
        Raises as :meth:`find` does."""
        found = await self._ask("@" + domain_key(path))
        return None if found is None else _at(path, found)

    async def _ask(self, key: str) -> Sequence[str | ForwardPath] | None:
        if isinstance(self.source, Mapping):
            return self.source.get(key)  # type: ignore[return-value]  # _to_source made it
        found = await result(self.source(key))
        return None if found is None else _to_targets(found)


NO_ALIASES = Aliases({})


def _at(
    path: ForwardPath, targets: Iterable[str | ForwardPath], detail: str = ""
) -> Sequence[ForwardPath]:
    """Return *targets* of *path*, but for those that would be too long for an address."""
    found: list[ForwardPath] = []
    for target in targets:
        with suppress(GrammarError):
            found.append(_completed(path, target, detail))
    return found


def _completed(path: ForwardPath, target: str | ForwardPath, detail: str) -> ForwardPath:
    """Return *target*, with the local-part of *path* if it is only a domain, and with *detail* if
    it is in the domain of *path*."""
    if not isinstance(target, ForwardPath):
        return ForwardPath(Mailbox(path.local_part, target[1:], long=True))
    if not detail or target.mailbox is None or target.domain != path.domain:
        return target
    return ForwardPath(Mailbox(target.local_part + detail, target.domain, long=True))


# -- following aliases -------------------------------------------------------------------------


@frozen
class Target:
    """An address where mail goes, and why."""

    path: ForwardPath
    via: tuple[ForwardPath, ...] = ()
    """The addresses whose aliases led to it, the first of them first."""
    is_loop: bool = False
    """Whether the message was there before."""


@frozen(kw_only=True)
class Expansion:
    """What an address stands for. An address that is no alias stands for itself."""

    targets: tuple[Target, ...] = ()
    """Each address once, the nearest first."""
    refusal: Reply | None = None
    """Why mail for the address is refused; then there are no *targets*."""


def _never(_: ForwardPath) -> bool:
    return False


async def expand(
    recipient: ForwardPath,
    find: Callable[[ForwardPath], Awaitable[Sequence[ForwardPath] | None]],
    was_at: Callable[[ForwardPath], bool] = _never,
    *,
    max_depth: int,
    max_recipients: int,
) -> Expansion:
    """Return to which addresses mail for *recipient* goes, by what *find* returns for each address:
    those for which it stands, also itself; None if it is no alias.

    Aliases that lead back to each other are followed once. *was_at* returns whether the message was
    delivered to an address before (:class:`.Hops`): that one is not followed again. It raises what
    *find* raises.
    """
    targets: dict[ForwardPath, Target] = {}
    seen, is_loop = {address_key(recipient)}, False
    level = [Target(recipient)]
    for _ in range(max_depth + 1):
        below: list[Target] = []
        for it in level:
            if was_at(it.path):
                targets.setdefault(it.path, evolve(it, is_loop=True))
                continue
            found = await find(it.path)
            for path in [it.path] if found is None else found:
                if (key := address_key(path)) == address_key(it.path):
                    targets.setdefault(it.path, it)
                elif key in seen:
                    is_loop = True
                else:
                    seen.add(key)
                    below.append(Target(path, (*it.via, it.path)))
            if len(seen) > max_recipients + 1:
                return Expansion(refusal=_TOO_MANY)
        if not below:
            refusal = None if targets else _LOOP if is_loop else _NOBODY
            return Expansion(targets=tuple(targets.values()), refusal=refusal)
        level = below
    return Expansion(refusal=_TOO_MANY)


# -- deliveries --------------------------------------------------------------------------------

_Row = tuple[RcptParameters, tuple[ForwardPath, ...], Forwarding]


def deliveries_of(
    message: Message,
    expansions: Iterable[tuple[ForwardPath, RcptParameters, Expansion]],
    is_forwarded: Callable[[ForwardPath], bool],
) -> list[Delivery]:
    """Return the deliveries of *message* to recipients with the given parameters, which stand for
    what the expansions say: one for each address, however many recipients lead to it.

    *is_forwarded* returns whether the message, if an alias leads to an address, goes there from an
    address of SRS.
    """
    found: dict[ForwardPath, _Row] = {}
    lists: list[tuple[ForwardPath, _Row]] = []
    for recipient, given, expansion in expansions:
        targets, passed_on = expansion.targets, given
        if len(targets) > 1 and given.notify and Notify.SUCCESS in given.notify:
            # The list reports success, and not those for whom it stands (RFC 3461 5.2.7.3).
            lists.append((recipient, (given, (), Forwarding.EXPANDED)))
            passed_on = evolve(given, notify={*given.notify} - {Notify.SUCCESS} or {Notify.NEVER})
        if expansion.refusal is not None:
            refused = Forwarding.LOOP if expansion.refusal is _LOOP else Forwarding.UNKNOWN
            found[recipient] = given, (), refused
        for it in targets:
            row = passed_on, it.via, _forwarding(it, is_forwarded)
            found[it.path] = _merged(found.get(it.path), row)
    due = max(message.arrived, message.not_before)
    return [
        Delivery(
            message=message.id,
            number=number,
            recipient=recipient,
            parameters=parameters,
            due=due,
            via=via,
            forwarding=forwarding,
        )
        for number, (recipient, (parameters, via, forwarding)) in enumerate(
            [*found.items(), *lists]
        )
    ]


def _forwarding(target: Target, is_forwarded: Callable[[ForwardPath], bool]) -> Forwarding:
    if target.is_loop:
        return Forwarding.LOOP
    forwarded = target.via and is_forwarded(target.path)
    return Forwarding.FORWARDED if forwarded else Forwarding.NONE


def _merged(known: _Row | None, other: _Row) -> _Row:
    """Return what two ways to an address have in common: a direct one decides."""
    if known is None:
        return other
    (parameters, _, forwarding), via = known if other[1] else other, dict.fromkeys(known[1])
    return parameters, tuple(via | dict.fromkeys(other[1]))[:_MAX_VIA], forwarding
