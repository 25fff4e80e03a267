"""Messages that want to harm the person who reads them, or the program that shows them."""

from __future__ import annotations


def html_mail(body: str, subject: str = "x") -> bytes:
    """Return a message with the HTML *body*."""
    header = f"From: mallory@evil.test\r\nSubject: {subject}\r\nContent-Type: text/html\r\n"
    return f"{header}MIME-Version: 1.0\r\n\r\n{body}\r\n".encode()


MARKUP = [
    "<script>parent.document.title = 'owned'</script>",
    "<img src=x onerror=\"parent.document.title = 'owned'\">",
    "<svg onload=\"parent.document.title = 'owned'\"><script>1</script></svg>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:1/refresh'>",
    "<base href='http://127.0.0.1:1/' target=_top><a href=x>link</a>",
    "<form action='/api/messages' method=post><input type=submit></form>",
    "<iframe src='/api/messages'></iframe><iframe srcdoc='<script>1</script>'></iframe>",
    "<object data='http://127.0.0.1:1/object'></object><embed src='http://127.0.0.1:1/embed'>",
    "<a href='javascript:parent.document.title=1'>link</a>",
    "<style>@import 'http://127.0.0.1:1/a.css'; p {background: url(http://127.0.0.1:1/b)}</style>",
    "<link rel=stylesheet href='http://127.0.0.1:1/c.css'>",
    "<img src='http://127.0.0.1:1/track.png' srcset='http://127.0.0.1:1/d 2x'>",
    "<video src='http://127.0.0.1:1/v' autoplay></video>",
    "</body></html></iframe><script>1</script>",
]
HOSTILE = [
    *(html_mail(it) for it in MARKUP),
    html_mail("x", "</title><script>alert(1)</script>\x1b[2J"),
    b"Subject: =?utf-8?B?PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0PhtbMko=?=\r\n\r\n\x1b]0;owned\x07",
    b"Subject: =?x-unknown?Q?=FF?= =?utf-8?B?!!!?=\r\n\r\n\xff\xfe\x00",
    b'Content-Type: text/html; charset="utf-16"\r\nContent-Disposition: attachment;'
    b" filename*=utf-8''%0d%0aX-Evil:%201\r\n\r\nx",
    b'Content-Type: multipart/mixed; boundary=""\r\n\r\n----\r\n',
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * 1000,
    b"From\r\n : folded\r\nno field\r\n\x00: y\r\n\r\n",
    b"",
    b"\r\n",
]
