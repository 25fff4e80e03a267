"""Several hosts in one simulation, by IP address."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from smtpproto import (
    Envelope,
    ForwardPath,
    Handler,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
)
from smtpproto.errors import ConnectFailed
from smtpproto.testing.simulation import SimulatedHost, SimulatedStream, Simulation


@define(eq=False)
class Host(Handler):
    """A host that keeps what it accepts, and refuses as it is told."""

    greeting: Reply | None = None
    refuse_mail: Reply | None = None
    refuse_rcpt: dict[str, Reply] = field(factory=dict)
    """By the local part of the recipient."""
    refuse_message: Reply | None = None
    times: int | None = None
    """How many of the refusals of MAIL and of messages there are; None: all."""
    cuts: SimulatedHost | None = None
    """The machine that breaks the connection in place of the reply to a message."""
    connections: int = field(default=0, init=False)
    mails: list[MailParameters] = field(factory=list, init=False)
    rcpts: list[str] = field(factory=list, init=False)
    received: list[tuple[Envelope, bytes]] = field(factory=list, init=False)

    def connect(self, session: Session) -> Reply | None:
        self.connections += 1
        return self.greeting

    def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        self.mails.append(parameters)
        return self._refusal(self.refuse_mail)

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        self.rcpts.append(str(recipient))
        return self.refuse_rcpt.get(recipient.local_part)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        if (refusal := self._refusal(self.refuse_message)) is None:
            self.received.append((envelope, body))
            if self.cuts is not None:
                self.cuts.cut(session.peer)
        return refusal

    def _refusal(self, reply: Reply | None) -> Reply | None:
        if reply is None or self.times == 0:
            return None
        self.times = None if self.times is None else self.times - 1
        return reply

    @property
    def accepted(self) -> list[str]:
        """The recipients of all messages."""
        return [str(path) for envelope, _ in self.received for path in envelope.recipients]


class Hosts(Simulation):
    """A simulation in which all servers have addresses, and nothing listens elsewhere."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self.dialled: list[str] = []

    def serve(self, address: str, handler: Handler, *, port: int = 25, **config: Any) -> None:
        """Serve *handler* at *address*; the options are those of ServerConfig."""
        self.host(address).listen(port, handler, ServerConfig(**config))

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> SimulatedStream:
        """Connect to the server at *host*. Raises ConnectFailed if there is none."""
        self.dialled.append(host)
        return await super().dial(host, port, timeout, source)

    def _dial_any(self, port: int) -> SimulatedStream:
        raise ConnectFailed(f"nothing listens on port {port}", phase="connect")
