"""SASL without SMTP: both sides of a SCRAM login, for use with IMAP or POP3 for example."""

from __future__ import annotations

import asyncio
import secrets

from smtpproto.sasl import BY_NAME, Channel, Login, ScramKeys, StoredKeys


async def main() -> None:
    keys = ScramKeys.derive("secret", salt=secrets.token_bytes(16))  # what a server stores
    channel = Channel(random=secrets.token_bytes)
    mechanism = BY_NAME["SCRAM-SHA-256"]
    client = mechanism.client(Login("ann", "secret"), channel)
    server = mechanism.server(StoredKeys({"ann": keys}), channel)

    response = client.initial()
    while isinstance(step := await server.step(response), bytes):
        response = client.step(step)
        print(f"server: {step.decode()}")
    client.finish()  # raises unless the server has proved that it knows the keys
    print(step)


if __name__ == "__main__":
    asyncio.run(main())
