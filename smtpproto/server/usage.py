"""What all connections of one server use together: connections, memory, failed logins."""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import AbstractContextManager, nullcontext

from attrs import define, field

from ..grammar.reply import Reply
from ..limits import REMEMBERED_NETWORKS, Limits
from .networks import NetworkKey, network_key

TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections; try again later")
TOO_MANY_FROM_NETWORK = Reply(421, "4.7.0", "Too many connections from your network")
TOO_MANY_FAILED_LOGINS = Reply(421, "4.7.0", "Too many failed logins from your network")
MEMORY_FULL = Reply(452, "4.3.1", "Too many messages at the same time; try again later")
TOO_BIG_FOR_MEMORY = Reply(552, "5.3.4", "Message is too big for this server")


@define(eq=False)
class Usage:
    """The counts that *limits* bounds, for one server. Each connection has an :class:`Account`.

    *lock* protects the counts if connections run in different threads.
    """

    limits: Limits
    lock: AbstractContextManager[object] = field(factory=nullcontext)
    connections: int = field(default=0, init=False)
    """The connections that are open."""
    memory: int = field(default=0, init=False)
    """The octets of messages that are held in memory."""
    networks: Counter[NetworkKey] = field(factory=Counter, init=False)
    """The connections that are open from each network."""
    # For each network: its failed logins, and when they are forgotten. The next to expire is first.
    _failures: OrderedDict[NetworkKey, tuple[int, float]] = field(factory=OrderedDict, init=False)

    def account(self) -> Account:
        """Return the account of a new connection, which uses nothing yet."""
        return Account(self)

    def failed_logins(self, network: NetworkKey, now: float) -> int:
        """Return how many logins from *network* have failed lately."""
        while self._failures:
            first, (_, end) = next(iter(self._failures.items()))
            if now < end:
                break
            del self._failures[first]
        return self._failures.get(network, (0, 0.0))[0]

    def add_failed_login(self, network: NetworkKey, now: float) -> None:
        """Count a failed login. If too many networks are remembered, forget the oldest."""
        count = self.failed_logins(network, now)
        if count:
            self._failures[network] = count + 1, self._failures[network][1]
            return
        self._failures[network] = 1, now + self.limits.failed_login_period
        if len(self._failures) > REMEMBERED_NETWORKS:
            self._failures.popitem(last=False)


@define(eq=False)
class Account:
    """What one connection uses. :meth:`close` gives all of it back."""

    _usage: Usage
    _open: bool = field(default=False, init=False)
    _network: NetworkKey | None = field(default=None, init=False)  # where it is counted
    _memory: int = field(default=0, init=False)

    def open(self) -> Reply | None:
        """Count the connection. Return its refusal if there are too many in all."""
        with self._usage.lock:
            most = self._usage.limits.connections
            if most is not None and self._usage.connections >= most:
                return TOO_MANY_CONNECTIONS
            self._usage.connections += 1
            self._open = True
            return None

    def set_client(self, address: str, *, trusted: bool = False) -> Reply | None:
        """Count the connection for the network of *address*, instead of that before. Return its
        refusal if there are too many from this network.

        An address that is unknown, as on a Unix socket, and a peer that is *trusted* to state the
        addresses of others have no such limit.
        """
        with self._usage.lock:
            self._leave_network()
            network = None if trusted else network_key(address, self._usage.limits)
            if network is None:
                return None
            most = self._usage.limits.connections_of_one_network
            if most is not None and self._usage.networks[network] >= most:
                return TOO_MANY_FROM_NETWORK
            self._usage.networks[network] += 1
            self._network = network
            return None

    def check_memory(self) -> Reply | None:
        """Return the refusal of a message if there is no memory left for any."""
        most = self._usage.limits.memory
        return MEMORY_FULL if most is not None and self._usage.memory >= most else None

    def reserve(self, octets: int) -> Reply | None:
        """Count *octets* more of the message that the connection holds in memory. Return the
        message's refusal if there is no room."""
        most = self._usage.limits.memory
        if most is None:
            return None
        if self._memory + octets > most:
            return TOO_BIG_FOR_MEMORY
        with self._usage.lock:
            if self._usage.memory + octets > most:
                return MEMORY_FULL
            self._memory += octets
            self._usage.memory += octets
            return None

    def release(self) -> None:
        """Give back the memory of the message."""
        if self._memory:
            with self._usage.lock:
                self._usage.memory -= self._memory
                self._memory = 0

    def check_login(self, now: float) -> Reply | None:
        """Return the refusal of a login if too many from this network have failed lately."""
        with self._usage.lock:
            if self._network is None:
                return None
            count = self._usage.failed_logins(self._network, now)
            too_many = count >= self._usage.limits.failed_logins_per_network
            return TOO_MANY_FAILED_LOGINS if too_many else None

    def add_failed_login(self, now: float) -> None:
        """Count a failed login from this network."""
        with self._usage.lock:
            if self._network is not None:
                self._usage.add_failed_login(self._network, now)

    def close(self) -> None:
        """Give back all that the connection uses. May be called twice."""
        self.release()
        with self._usage.lock:
            self._leave_network()
            self._usage.connections -= self._open
            self._open = False

    def _leave_network(self) -> None:
        if self._network is not None:
            self._usage.networks[self._network] -= 1
            if not self._usage.networks[self._network]:
                del self._usage.networks[self._network]
            self._network = None
