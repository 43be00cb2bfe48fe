"""What is promised stands on its page, and what shows it exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.promises import ROOT, Promise, promises

TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise.quote[:40])
def test_a_promise_stands_on_its_page_and_is_shown(promise: Promise) -> None:
    assert promise.quote in Path(ROOT, promise.page).read_text(encoding="utf-8")
    if promise.command:
        assert promise.command.removeprefix("make ") in TARGETS
    else:
        assert promise.tests
        assert all(Path(ROOT, path).exists() for path in promise.tests)


@pytest.mark.parametrize("cited", sorted(set(re.findall(r"`(tests/[^`]+)`", SECURITY))))
def test_a_test_that_holds_a_promise_of_security_exists(cited: str) -> None:
    path, _, name = cited.partition("::")
    text = Path(ROOT, path).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name or 'test_'}", text, re.MULTILINE)
