"""A page that shows something else than what happens fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.conftest import Visit

RIGHT = """
```python
# hello.py
print("hello")
```

    $ python hello.py >> greeting
    $ cat greeting
    hello

```python
print(1 + 1)    # 2
```

    $ smtpproto serve --raw --port 2525
    listening on 127.0.0.1 port 2525

```python
from smtpproto import Envelope
from smtpproto.adapters.asyncio import send

await send(b"Subject: hello\\n", "localhost", 2525, envelope=Envelope("a@b.test", "c@d.test"))
```

```
-------- from a@b.test, to c@d.test: 16 octets
Subject: hello
-------- end
```
"""


def read(visit: Visit, text: str, directory: Path) -> None:
    page = directory / "page.md"
    page.write_text(text)
    visit(str(page)).read()


def test_a_page_that_shows_what_happens_passes(visit: Visit, tmp_path: Path) -> None:
    read(visit, RIGHT, tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("# 2", "# 3"),
        ("    hello", "    hallo"),
        ("port 2525\n\n", "port 2526\n\n"),
        ("16 octets", "17 octets"),
        ("await send", "await end"),
        ("from smtpproto import", "from smtpproto.wire import"),
    ],
)
def test_a_page_that_shows_something_else_fails(
    right: str, wrong: str, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pages.terminal.TIMEOUT", 0.1)
    assert right in RIGHT
    with pytest.raises((AssertionError, NameError)):
        read(visit, RIGHT.replace(right, wrong), tmp_path)
