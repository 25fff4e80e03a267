"""The client and server protocols connected in memory: a session without sockets or a loop."""

from __future__ import annotations

from smtpproto import ClientProtocol, Domain, ForwardPath, ReversePath, ServerProtocol
from smtpproto.commands import Command, Data, Ehlo, Mail, Quit, Rcpt
from smtpproto.events import Answer, BodyChunk


def pump(client: ClientProtocol, server: ServerProtocol) -> None:
    """Pass octets back and forth until neither side has any left to send."""
    while True:
        if octets := client.data_to_send():
            server.receive(octets)
        while event := server.next_event():
            if server.question is not None:
                server.answer()  # accept everything
            if isinstance(event, BodyChunk):
                print("content:", event.data)
        if not (octets := server.data_to_send()):
            return
        client.receive(octets)
        while reply := client.next_event():
            if isinstance(reply, Answer):
                print(f"{reply.sent} -> {reply.reply}")


def main() -> None:
    client, server = ClientProtocol(), ServerProtocol(hostname="mx.example.org")
    pump(client, server)  # the greeting
    groups: list[list[Command]] = [
        [Ehlo(Domain("client.example"))],
        [  # sent together, because the server offers PIPELINING
            Mail(ReversePath.of("ann@example.org")),
            Rcpt(ForwardPath.of("bob@example.org")),
            Data(),
        ],
    ]
    for group in groups:
        for command in group:
            client.send(command)
        pump(client, server)
    client.send_body(b".a line that starts with a dot\r\n")
    client.end_body()
    pump(client, server)
    client.send(Quit())
    pump(client, server)


if __name__ == "__main__":
    main()
