"""Takes the pictures of docs/pictures in a browser: ``make pictures``.

``python -m docs.take_pictures ours`` takes those of our own two pages, which the site shows;
``python -m docs.take_pictures site`` those of the site, once it is built. What they show is made
here, on the local service: a week of calls, and a day that is spent.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

from docs.browser import DESKTOP, PHONE, browser, look, photograph
from docs.local_account import local_account
from modelscope_transport import ChatRequest, Client, EmbeddingRequest, Message, QuotaExceededError
from modelscope_transport.cli import main

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
PICTURES = ROOT / "docs" / "pictures"
CODER, FLAGSHIP = "Qwen/Qwen3-Coder-30B-A3B-Instruct", "Qwen/Qwen3.5-397B-A17B"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
_DAY = 86_400
# Calls of each of the last seven days: to the coder, the flagship, the embedding model.
_WEEK = [(9, 1, 4), (14, 3, 2), (4, 0, 0), (21, 5, 6), (12, 2, 3), (17, 6, 1), (11, 3, 2)]


def ask(model: str) -> None:
    """One call, whatever comes of it."""
    with contextlib.suppress(QuotaExceededError):
        Client().chat(ChatRequest(model=model, messages=(Message("user", "Hello"),)))


def quota_page(file: Path, language: str) -> None:
    """Write the page of ``quota --html`` after a week of calls.

    Args:
        file: where to.
        language: ``"en"`` or ``"zh"``.
    """
    days_ago = len(_WEEK)
    with local_account("magicubes=250", lambda: time.time() - days_ago * _DAY):
        for coder, flagship, embedded in _WEEK:
            days_ago -= 1
            for model in [CODER] * coder + [FLAGSHIP] * flagship:
                ask(model)
            for _ in range(embedded):
                Client().embed(EmbeddingRequest(model=EMBEDDING, texts=("Hello",)))
        code = main(["quota", "--refresh", "--html", str(file), "--lang", language])
    assert code == 0, "the command failed"


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over HTTP on this machine; its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each file."""


def wait_for(driver: Chrome, script: str, seconds: float = 20) -> None:
    """Wait until an expression of JavaScript is true in the page."""
    WebDriverWait(driver, seconds).until(lambda _: driver.execute_script(f"return {script}"))


def calls_seen(number: int) -> str:
    """The expression that is true once so many calls stand on the local service's page."""
    return f"document.querySelectorAll('#calls tr').length >= {number}"


def take_ours(driver: Chrome, language: str) -> None:
    """The pictures of the page of ``quota --html`` and of the local service's page."""
    suffix = "" if language == "en" else f"-{language}"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "quota.html")
        quota_page(page, language)
        look(driver, page.as_uri())
        photograph(driver, PICTURES / f"quota{suffix}.png", 1000)
    for name, allowance, models in (
        ("", "magicubes=250", [CODER, FLAGSHIP, CODER]),
        ("-spent", "magicubes=3", [CODER, FLAGSHIP, CODER]),
    ):
        with local_account(allowance) as (service, _):
            look(driver, f"{service.root_url}/?lang={language}")
            for model in models:
                ask(model)
            wait_for(driver, calls_seen(len(models)))
            photograph(driver, PICTURES / f"local-service{name}{suffix}.png", 760)


def take_site(driver: Chrome) -> None:
    """The pictures of three pages of the site."""
    with served(SITE) as site:
        look(driver, site)
        photograph(driver, PICTURES / "site-start.png", 800)
        look(driver, f"{site}zh/guides/agents/", DESKTOP, "dark")
        photograph(driver, PICTURES / "site-guide-zh-dark.png", 800)
        look(driver, f"{site}troubleshooting/#quotaexceedederror", PHONE)
        photograph(driver, PICTURES / "site-troubleshooting-phone.png")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    with browser() as driver:
        if sys.argv[1:] == ["site"]:
            take_site(driver)
        else:
            for language in ("en", "zh"):
                take_ours(driver, language)
