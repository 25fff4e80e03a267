"""The ports that fetch and send a small file over HTTPS."""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen

from ..ports import Runtime

__all__ = ["Fetch", "Fetched", "Post"]


@frozen(kw_only=True)
class Fetched:
    """What a server of HTTPS answered."""

    status: int
    """The status code; 200 is a file."""
    media_type: str
    """The media type, in lower case and without parameters; "" if there is none."""
    body: bytes = field(repr=False)


class Fetch(Protocol):
    """Fetches files over HTTPS."""

    async def get(self, host: str, path: str, runtime: Runtime) -> Fetched:
        """Return the answer to one GET of *path* at *host*, port 443.

        The server's certificate must be issued by a trusted CA for *host*. Redirects are not
        followed, nothing is taken from a cache, and size and time are bounded. Raises
        :class:`.SMTPError` if there is no answer: :class:`.TLSFailed` for TLS and certificates.
        """
        ...


class Post(Protocol):
    """Sends files over HTTPS."""

    async def post(
        self, host: str, path: str, body: bytes, media_type: str, runtime: Runtime
    ) -> Fetched:
        """Return the answer to one POST of *body* to *path* at *host*, port 443. The same holds,
        and the same is raised, as for :meth:`Fetch.get`."""
        ...
