"""What a filter is: what it sees of a message, and what it decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Literal

from attrs import field, frozen
from attrs.validators import gt

from ..errors import TimedOut
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.envelope import Envelope
from ..grammar.reply import Reply
from ..option_types import checked, wrong_type
from ..ports import Runtime, result
from ..server.handler import Session
from .header_edit import FieldEdit

__all__ = [
    "Filter", "FilterFunction", "FilterMessage", "FilterVerdict", "FunctionFilter", "remaining",
    "to_filters",
]  # fmt: skip


@frozen(kw_only=True, eq=False)
class FilterMessage:
    """A message that has arrived, as a filter sees it."""

    id: str
    """Its id in the queue, if it gets there."""
    hostname: str
    """The name of this server."""
    session: Session
    envelope: Envelope
    """With the changes of the filters before."""
    trusted: bool
    """Whether the client may send to all recipients."""
    header: bytes
    """The header section, without the empty line after it: with the Received field of this server,
    the results of its checks, and the changes of the filters before."""
    body_size: int
    """Octets of the body."""
    body: Callable[[], AsyncGenerator[bytes, None]] = field(repr=False)
    """Returns the body in slices, with CRLF line ends; it can be called again and again."""

    @property
    def size(self) -> int:
        """Octets of the message as :meth:`content` returns it."""
        return len(self.header) + 2 + self.body_size

    async def content(self) -> AsyncGenerator[bytes, None]:
        """Return the whole message in slices: header section, empty line and body."""
        yield self.header + b"\r\n"
        async for data in self.body():
            yield data


def _check_refusal(_: object, __: object, reply: Reply | None) -> None:
    if reply is not None and reply.positive:
        raise ValueError(f"a reply that refuses must be 4yz or 5yz, not {reply.code}")


def _to_edits(values: Iterable[FieldEdit]) -> tuple[FieldEdit, ...]:
    return tuple(values)


def _to_paths(values: Iterable[ForwardPath | str]) -> tuple[ForwardPath, ...]:
    return tuple(map(ForwardPath.of, values))


@checked
@frozen(kw_only=True)
class FilterVerdict:
    """What a filter decides. Without any argument, it accepts the message as it is."""

    refusal: Reply | None = field(default=None, validator=_check_refusal)
    """4yz or 5yz: the client gets it, and the message is not taken."""
    hold: str | None = None
    """Why the message is to be held in the queue until somebody releases it."""
    discard: bool = False
    """Whether the message is dropped, although the client is told that it was accepted."""
    edits: tuple[FieldEdit, ...] = field(default=(), converter=_to_edits)
    """Changes of the header section, in this order."""
    sender: ReversePath | None = None
    """Another sender for the envelope."""
    added: tuple[ForwardPath, ...] = field(default=(), converter=_to_paths)
    """Recipients to add."""
    removed: tuple[ForwardPath, ...] = field(default=(), converter=_to_paths)
    """Recipients to remove. A message without any is discarded."""
    summary: str = ""
    """What was found, for the log, for example ``spam 15.2/5.0``."""


def _check_policy(_: object, __: object, policy: str) -> None:
    if policy not in ("defer", "accept"):
        raise ValueError(f'on_failure must be "defer" or "accept", not {policy!r}')


@frozen(kw_only=True)
class Filter(ABC):
    """Base of all filters."""

    timeout: float = field(default=60.0, validator=gt(0))
    """Seconds for one message, from the connection to the verdict."""
    on_failure: Literal["defer", "accept"] = field(default="defer", validator=_check_policy)
    """What happens to a message if the filter cannot be reached, takes too long, or breaks its
    protocol: the client gets 451 4.7.1, or the message is accepted without it."""
    trusted: bool = True
    """Whether the messages of clients that may send to all recipients are filtered, too."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What logs call the filter."""

    @abstractmethod
    async def check(self, message: FilterMessage, runtime: Runtime) -> FilterVerdict:
        """Return what becomes of *message*. What this raises is a failure of the filter."""


FilterFunction = Callable[[FilterMessage], FilterVerdict | Awaitable[FilterVerdict | None] | None]
"""A filter of the application: a function, plain or ``async``. None accepts the message."""


@frozen
class FunctionFilter(Filter):
    """A function as a filter, with options: ``FunctionFilter(check, on_failure="accept")``."""

    function: FilterFunction

    @property
    def name(self) -> str:
        """What logs call the filter: the name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    async def check(self, message: FilterMessage, runtime: Runtime) -> FilterVerdict:
        """Call the function."""
        verdict = await result(self.function(message))
        if not isinstance(verdict, FilterVerdict | None):
            raise wrong_type(f"the verdict of {self.name}", verdict, "a FilterVerdict, or None")
        return verdict or FilterVerdict()


def to_filters(values: Iterable[Filter | FilterFunction]) -> tuple[Filter, ...]:
    """Return *values*, with functions made filters. Raises TypeError for others."""
    if isinstance(values, Filter) or not isinstance(values, Iterable):
        raise wrong_type("filters", values, "a list of filters")
    filters = []
    for it in values:
        if isinstance(it, type) or not (isinstance(it, Filter) or callable(it)):
            raise wrong_type("a filter", it, 'Milter("unix:/path"), Spamd(...) or a function')
        filters.append(it if isinstance(it, Filter) else FunctionFilter(it))
    return tuple(filters)


def remaining(runtime: Runtime, end: float) -> float:
    """Return the seconds until *end*. Raises TimedOut if there are none: a peer that goes on
    sending would never let a read time out."""
    left = end - runtime.now()
    if left <= 0:
        raise TimedOut("the filter took too long", phase="filter", check="the load of the filter")
    return left


def split_address(address: str, port: int) -> tuple[str, int]:
    """Return the host, or the path of a Unix socket, and the port of a filter at *address*.

    It is as Postfix and Sendmail write it: ``unix:/path``, ``inet:host:port``, ``inet:port@host``,
    ``host:port``; or ``/path`` or ``host``, with the default *port*. Raises ValueError.
    """
    kind, colon, rest = address.partition(":")
    if colon and kind in ("unix", "local", "inet", "inet6"):
        address = rest
    elif address.startswith("/"):
        kind = "unix"
    if kind in ("unix", "local"):
        if not address.startswith("/"):
            raise ValueError(f"not the path of a socket: {address!r}; begin it with /")
        return address, 0
    number, at, host = address.partition("@")
    if not at:
        host, colon, number = address.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            host, number = address, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
        raise ValueError(
            f'not the address of a filter: {address!r}; pass "host:port" or "unix:/path"'
        )
    return host, int(number)
