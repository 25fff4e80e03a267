"""A relay in a simulated network, for tests."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from smtpproto.dns import MX, Kind
from smtpproto.mta.exchangers import Self
from smtpproto.mta.queue import Attempt, Delivery, Message
from smtpproto.mta.route import Direct, SmartHost
from smtpproto.testing import Zone
from smtpproto.transfer import DailyReports, TLSPolicies
from smtpproto.transfer.relay import Relay
from smtpproto.transfer.tls_reports import TLSReports
from tests.support.hosts import Host, Hosts
from tests.support.queued import delivery, message

CONTENT = b"Subject: hi\r\n\r\nhello\r\n"
ROUTE = Direct(tls="none")


@define(eq=False)
class Network:
    """Hosts mx1, mx2, ... of example.net, at 192.0.2.1, 192.0.2.2, ..., in this order."""

    hosts: tuple[Host, ...] = field(factory=lambda: (Host(), Host()))
    config: tuple[dict[str, Any], ...] = ()
    authentic: bool = False
    policies: TLSPolicies = field(factory=TLSPolicies)
    reporting: DailyReports | None = None
    simulation: Hosts = field(factory=Hosts)
    zone: Zone = field(init=False)
    relay: Relay = field(init=False)

    def __attrs_post_init__(self) -> None:
        numbers = range(1, len(self.hosts) + 1)
        names = {n: f"mx{n}.example.net" for n in numbers}
        self.zone = Zone(
            {
                "example.net": {Kind.MX: [MX(10 * n, names[n]) for n in numbers]},
                **{names[n]: {Kind.A: [f"192.0.2.{n}"]} for n in numbers},
            },
            self.simulation,
            authentic=self.authentic,
        )
        for n, host in zip(numbers, self.hosts, strict=True):
            config = self.config[n - 1] if n <= len(self.config) else {}
            self.simulation.serve(f"192.0.2.{n}", host, **config)
        itself = Self(names=["mx.us.test"])
        reports = TLSReports(self.simulation, self.zone, self.reporting)
        self.relay = Relay(self.simulation, self.zone, itself, "mx.us.test", self.policies, reports)

    def attempt(
        self,
        *recipients: str | Delivery,
        content: Any = CONTENT,
        route: Direct | SmartHost = ROUTE,
        **facts: Any,
    ) -> list[Attempt]:
        """Try to deliver a message; return what came of it, in the order of *recipients*."""
        given = recipients or ("bob@example.net",)
        deliveries = [
            delivery(number=number, to=each) if isinstance(each, str) else each
            for number, each in enumerate(given)
        ]
        size = len(content) if isinstance(content, bytes) else len(CONTENT)
        queued = message(**{"size": size} | facts)
        results = self.simulation.run(self._attempt(route, queued, deliveries, content))
        attempts: list[Attempt] = results[0]
        return attempts

    async def _attempt(
        self, route: Direct | SmartHost, queued: Message, deliveries: list[Delivery], content: Any
    ) -> list[Attempt]:
        tried = {
            each.number: attempt
            for each, attempt in await self.relay.attempt(route, queued, deliveries, content)
        }
        await self.relay.connections.close()
        return [tried[each.number] for each in deliveries]
