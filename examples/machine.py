"""Both bare machines, wired together in memory: a whole session without sockets or a loop."""

from __future__ import annotations

from smtpproto import ClientProtocol, Domain, ForwardPath, ReversePath, ServerProtocol
from smtpproto.commands import Command, Data, Ehlo, Mail, Quit, Rcpt
from smtpproto.events import Answer, BodyChunk


def pump(client: ClientProtocol, server: ServerProtocol) -> None:
    """Carry octets to and fro until both sides have nothing left to say."""
    while True:
        if octets := client.data_to_send():
            server.receive(octets)
        while event := server.next_event():
            if server.question is not None:
                server.answer()
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
        [  # these leave together: PIPELINING was offered
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
