"""The site of the documentation in a real browser: narrow, dark, and its search."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.chromium import Tab, chromium

pytestmark = [pytest.mark.interop, pytest.mark.peer("chromium")]

ROOT = Path(__file__).parents[2]
NARROW = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
# Wide elements scroll by themselves; the page must not.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors, whose links lead somewhere."""
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-qW", "--keep-going", "-d", str(out / "trees")]
    subprocess.run([*build, "docs", str(out / "html")], cwd=ROOT, check=True)
    return out / "html"


@pytest.fixture(scope="module")
def tab(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab of a browser, at the first page of the site."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with chromium(tmp_path_factory.mktemp("chromium")) as browser:
                yield browser.open(f"http://127.0.0.1:{server.server_port}/index.html")
        finally:
            server.shutdown()
            thread.join()


def go(tab: Tab, page: str) -> None:
    """Open *page* of the site in *tab*."""
    tab.go(f"{tab.run('location.origin')}/{page}")


def test_the_links_of_the_site_lead_somewhere(site: Path) -> None:
    command = [sys.executable, "docs/building/site_links.py", str(site)]
    subprocess.run(command, cwd=ROOT, check=True)


def test_no_page_is_wider_than_a_narrow_screen(site: Path, tab: Tab) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", **NARROW)
    wide = {}
    for path in sorted(site.rglob("*.html")):
        page = path.relative_to(site).as_posix()
        go(tab, page)
        if (pixels := tab.run(OVERFLOW)) > 0:
            wide[page] = pixels
    tab.call("Emulation.clearDeviceMetricsOverride")
    assert wide == {}


def test_the_search_finds_the_page_of_a_name(tab: Tab) -> None:
    go(tab, "search.html?q=missing_brackets")
    tab.wait_for("document.querySelector('#search-results li a')")
    found = tab.run("[...document.querySelectorAll('#search-results li a')].map(it => it.href)")
    assert any("leniencies" in href or "limits" in href for href in found)


def test_pictures_follow_the_colours_of_the_page(tab: Tab) -> None:
    go(tab, "explanation/rings.html")
    for theme in ("light", "dark"):
        tab.run(f"document.body.dataset.theme = {theme!r}")
        scheme = tab.run("getComputedStyle(document.querySelector('article img')).colorScheme")
        assert scheme == theme
