"""How long a server waits for a client: each time-out, the least rate of content, and the session.

Each wait has a time-out of its own. But a client that sends one octet before each of them could
hold a connection for ever, so the waits are also added up. So is the time of the application: a
client that pipelines may leave it much to do, and go away.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from ..limits import Limits, Timeouts


@define(eq=False)
class Patience:
    """The time that the server has left for one client. All its deadlines are worked out here.

    *_now* returns seconds of a monotonic clock, which is read once after each wait or call: what
    has passed since the last reading was either spent on the client (:meth:`waited`) or on the
    application (:meth:`skip`). Begin with :meth:`start`.
    """

    _now: Callable[[], float]
    _limits: Limits
    _timeouts: Timeouts
    _read: float = field(default=0.0, init=False)  # the last reading of the clock
    _deadline: float | None = field(default=None, init=False)
    is_spent: bool = field(default=False, init=False)
    """Whether the application has worked for the client too long."""
    _outside: float = field(default=0.0, init=False)  # seconds waited outside content
    _called: float = field(default=0.0, init=False)  # seconds of the application
    _inside: float = field(default=0.0, init=False)  # seconds waited within content
    _octets: int = field(default=0, init=False)  # of content, and of the commands between chunks

    def start(self) -> None:
        """Begin to count."""
        self._read = self._now()

    def begin(self, timeout: float | None) -> None:
        """Expect something within *timeout* seconds from now (None: no limit)."""
        self._deadline = None if timeout is None else self._read + timeout

    def left(self, *, in_message: bool) -> float | None:
        """Return how many seconds the next wait may take (None: no limit). *in_message*: the server
        waits for content."""
        limit: float | None = None
        if not in_message:
            most = self._timeouts.session
            limit = None if most is None else most - self._outside
        elif self._limits.content_rate is not None and self._timeouts.content is not None:
            allowed = self._timeouts.content + self._octets / self._limits.content_rate
            limit = allowed - self._inside
        if self._deadline is not None and (limit is None or self._deadline < self._read + limit):
            limit = self._deadline - self._read
        return limit if limit is None or limit > 0 else 0.0

    def waited(self, *, in_message: bool, octets: int = 0) -> None:
        """Count the time since the last reading of the clock, in which *octets* arrived."""
        before, self._read = self._read, self._now()
        if in_message:
            self._inside += self._read - before
            self._octets += octets
        else:
            self._outside += self._read - before

    def skip(self) -> float:
        """Return the time since the last reading of the clock, which the client does not owe."""
        before, self._read = self._read, self._now()
        self._called += self._read - before
        most = self._timeouts.hooks
        self.is_spent = most is not None and self._called > most
        return self._read - before

    def reset(self) -> None:
        """Begin the sums anew: a message was accepted."""
        self._outside, self._inside, self._called, self._octets = 0.0, 0.0, 0.0, 0
        self.is_spent = False
