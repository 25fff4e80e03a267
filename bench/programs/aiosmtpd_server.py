"""aiosmtpd: ``aiosmtpd_server NAME PEM``. It always collects the whole message."""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Any

from aiosmtpd.smtp import SMTP


class Accepting:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return "250 OK"


async def main(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def make() -> SMTP:
        return SMTP(
            Accepting(),
            hostname="mx.example.org",
            data_size_limit=0,
            enable_SMTPUTF8=True,
            tls_context=context,
            command_call_limit=None,
        )

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1].endswith("uvloop"):
        import uvloop

        uvloop.run(main(sys.argv[2]))
    else:
        asyncio.run(main(sys.argv[2]))
