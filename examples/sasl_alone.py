"""SASL without SMTP: both sides of a login by SCRAM, as programs for IMAP or POP3 could use."""

from __future__ import annotations

import asyncio
import secrets

from smtpproto.sasl import BY_NAME, Channel, Login, ScramKeys, StoredKeys


async def main() -> None:
    keys = ScramKeys.derive("secret", salt=secrets.token_bytes(16))  # all that a server keeps
    channel = Channel(random=secrets.token_bytes)
    mechanism = BY_NAME["SCRAM-SHA-256"]
    client = mechanism.client(Login("ann", "secret"), channel)
    server = mechanism.server(StoredKeys({"ann": keys}), channel)

    response = client.initial()
    while isinstance(step := await server.step(response), bytes):
        response = client.step(step)
        print(f"server: {step.decode()}")
    client.finish()  # raises, had the server not proved that it knows the password too
    print(step)


if __name__ == "__main__":
    asyncio.run(main())
