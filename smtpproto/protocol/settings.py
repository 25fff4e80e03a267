"""The options of the client's machine, and those of both. Connections with equal options share one
value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict, TypeVar, cast

from attrs import field, frozen

from ..grammar.ascii_case import upper
from ..grammar.extension import EXTENSIONS
from ..limits import Leniencies, Limits, Timeouts
from ..option_types import argument_names, check_names, checked, wrong_type
from .verbs import Verb, own_verbs

S = TypeVar("S", bound="CommonSettings")

# Frozen, so all settings that do not name them share them.
_LIMITS, _TIMEOUTS, _LENIENCIES = Limits(), Timeouts(), Leniencies()


class CommonOptions(TypedDict, total=False):
    verbs: Iterable[Verb]
    limits: Limits
    timeouts: Timeouts
    leniencies: Leniencies


class ClientMachineOptions(CommonOptions, total=False):
    """The keyword arguments of :class:`~.client.ClientProtocol` that make its settings."""

    ignore_extensions: str | Iterable[str]


def _extension_names(names: str | Iterable[str]) -> frozenset[str]:
    """Return the keywords *names* in upper case. Raises ValueError for one that is unknown, and for
    STARTTLS, which the option tls controls."""
    keywords = frozenset(map(upper, [names] if isinstance(names, str) else names))
    if "STARTTLS" in keywords:
        raise ValueError('ignore_extensions cannot have STARTTLS; use tls="none"')
    if unknown := sorted(keywords - EXTENSIONS.keys()):
        known = ", ".join(EXTENSIONS)
        raise ValueError(f"ignore_extensions: unknown keyword {unknown[0]!r}; known are {known}")
    return keywords


@frozen(kw_only=True, init=False, eq=False, repr=False)
class CommonSettings:
    _called: ClassVar[str]

    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    """Verbs of your own; on a server for the hook ``command``."""
    limits: Limits = field(default=_LIMITS, metadata={"instead": "Limits(...)"})
    """Bounds on what the peer may send: lines, messages, recipients, errors and logins."""
    timeouts: Timeouts = field(default=_TIMEOUTS, metadata={"instead": "Timeouts(total=60)"})
    """How long to wait for the peer."""
    leniencies: Leniencies = field(default=_LENIENCIES, metadata={"instead": "Leniencies(...)"})
    """The violations of the grammar to accept from the peer."""


def settings_of(kind: type[S], settings: S | None, options: Mapping[str, Any], *others: str) -> S:
    """Return *settings*, of the class *kind*, or those that *options* make. *others* are the names
    of arguments that are none of these.

    Raises TypeError for wrong options, and for options besides settings; ValueError if options
    contradict each other or an RFC.
    """
    if settings is None:
        known = (*argument_names(cast("Any", kind)), *others, "settings")
        check_names(kind._called, options, known, kind)
        return kind(**options)
    if options:
        text = f"settings cannot be combined with {next(iter(options))}"
        raise TypeError(f"{text}; pass all options in settings")
    if not isinstance(settings, kind):
        raise wrong_type("settings", settings, f"{kind.__name__}(...)")
    return settings


@checked
@frozen(kw_only=True)
class ClientSettings(CommonSettings):
    """The options of a client that its machines follow; connections share them."""

    _called: ClassVar[str] = "ClientProtocol"

    ignore_extensions: frozenset[str] = field(default=frozenset(), converter=_extension_names)
    """Extensions to treat as not offered, for example ``["CHUNKING"]`` where a proxy on the way
    offers what it cannot do."""
