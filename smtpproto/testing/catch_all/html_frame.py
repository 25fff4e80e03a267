"""The HTML of a message as a page for a frame that can do nothing.

It is shown as it is, so that its author sees what readers get. The browser is told that it has an
origin of its own, and may run no scripts, send no forms and load nothing but the pictures that the
message brings along, which are put into the page.
"""

from __future__ import annotations

import re
from base64 import b64encode
from html import unescape
from urllib.parse import unquote

from ...adapters.loopback_pages import Page
from ...mail.opened import OpenedMessage

_CID = re.compile(r"""cid:([^"'\s<>()]{1,998})""", re.IGNORECASE)
_PICTURE = re.compile(r"image/[a-z0-9.+-]{1,60}")
_MOST = 64 * 1024 * 1024  # characters of pictures in the page; a picture may be named many times
_START = """<!doctype html><meta charset="utf-8"><base target="_blank"><style>
:root { color-scheme: light; background: white; color: black; overflow-wrap: anywhere }
body { margin: 12px; font: 15px/1.5 system-ui, sans-serif } img { max-width: 100% }
</style>
"""
_SANDBOX = "sandbox allow-popups allow-popups-to-escape-sandbox"  # for links, which open a tab


def html_page(message: OpenedMessage, *, remote: bool) -> Page:
    """Return the HTML of *message* for a frame. With *remote* it may load pictures, styles and
    fonts from elsewhere, by which a sender learns that the message is read."""
    pictures = _with_pictures(message)
    policy = _policy("data: http: https:" if remote else "data:")
    return Page(
        body=_START + pictures,
        kind="text/html; charset=utf-8",
        fields={"Content-Security-Policy": policy, "X-DNS-Prefetch-Control": "off"},
    )


def _policy(sources: str) -> str:
    styles = sources.replace("data:", "'unsafe-inline'")
    return (
        f"default-src 'none'; img-src {sources}; font-src {sources}; style-src {styles};"
        f" base-uri 'none'; form-action 'none'; frame-ancestors 'self'; {_SANDBOX}"
    )


def _with_pictures(message: OpenedMessage) -> str:
    """Return the HTML with its pictures in place of their ``cid:`` URLs."""
    pictures = {
        it.content_id: it
        for it in message.attachments
        if it.content_id and _PICTURE.fullmatch(it.type)
    }
    left = _MOST

    def data_url(found: re.Match[str]) -> str:
        nonlocal left
        picture = pictures.get(unquote(unescape(found[1])))
        if picture is None or len(picture.octets) * 4 // 3 > left:
            return found[0]
        url = f"data:{picture.type};base64,{b64encode(picture.octets).decode()}"
        left -= len(url)
        return url

    return _CID.sub(data_url, message.html)
