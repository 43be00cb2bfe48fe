"""A headless Chromium that looks at a page as a phone or a desktop does, by day or by night.

Needs the group ``docs`` of pyproject.toml, and Debian's packages ``chromium``, ``chromium-driver``
and ``fonts-noto-cjk`` (``make test-web`` says so where they are missing).

Laws of this file: the browser is that of the system, nothing is downloaded; it sees this machine
alone, so a page that loads something from elsewhere is seen without it.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

__all__ = ["DESKTOP", "PHONE", "Scheme", "browser", "look", "photograph"]

PHONE, DESKTOP = 390, 1280
Scheme = Literal["light", "dark"]
_HEIGHT = {PHONE: 844, DESKTOP: 900}
_PROGRAMS = {"chromium": "chromium", "chromedriver": "chromium-driver"}


@contextlib.contextmanager
def browser() -> Iterator[Chrome]:
    """A browser, closed at the end.

    Raises:
        RuntimeError: the system has none; the message names the packages.
    """
    missing = [package for name, package in _PROGRAMS.items() if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"install {' and '.join(missing)} (Debian: apt-get install)")
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--no-sandbox",  # a build machine is root, and looks at its own pages only
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(60)
        driver.set_script_timeout(60)
        yield driver
    finally:
        driver.quit()


def look(driver: Chrome, address: str, width: int = DESKTOP, scheme: Scheme = "light") -> None:
    """Open a page.

    Args:
        driver: the browser.
        address: where the page is.
        width: of the window, in pixels; `PHONE` or `DESKTOP`.
        scheme: what the reader's system prefers.
    """
    size = {"width": width, "height": _HEIGHT[width], "deviceScaleFactor": 1}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**size, "mobile": width == PHONE})
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(address)
    driver.execute_async_script("document.fonts.ready.then(arguments[arguments.length - 1])")


def photograph(driver: Chrome, file: Path, height: int | None = None) -> None:
    """Write what the browser shows into a PNG file.

    Args:
        driver: the browser.
        file: the file, which is replaced.
        height: in pixels, from the top of the page; the window's by default.
    """
    options: dict[str, Any] = {"format": "png"}
    if height is not None:
        width = driver.execute_script("return window.innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        options |= {"clip": clip, "captureBeyondViewport": True}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", options)
    file.write_bytes(base64.b64decode(taken["data"]))
