"""A browser, the site, and our own two pages, for tests that look at them (``make test-web``).

They need a Chromium and a font, so they are no part of ``make test``; what is missing fails them,
with its name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from docs.browser import browser
from docs.take_pictures import SITE, quota_page, served

# What the driver says to the browser fills pages, and holds no token.
for _name in ("selenium", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the site."""
    assert (SITE / "index.html").is_file(), "the site is not built: make docs"
    with served(SITE) as address:
        yield address


@pytest.fixture(scope="session", params=["en", "zh"])
def quota(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page that ``quota --html`` wrote."""
    page: Path = tmp_path_factory.mktemp("quota") / "quota.html"
    quota_page(page, request.param)
    return page.as_uri()
