"""What the values show of themselves in a notebook: in both languages, escaped, without a token."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from modelscope_transport import (
    BatchReport,
    ChatRequest,
    Client,
    DayUse,
    MemoryLedger,
    Message,
    Quota,
)
from modelscope_transport.emulator import Allowance, LocalService
from modelscope_transport.language import speak
from modelscope_transport.quota import UTC8, ClassUse, EarnRule, LotLeft, Statement
from modelscope_transport.quota.history import History
from modelscope_transport.quota.snapshot import Quotas
from modelscope_transport.task_types import Image, ImageResult

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
EVIL = 'own/<script>alert("&")</script>'
HAN = re.compile(r"[\u4e00-\u9fff]")
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=UTC8)


def shown(value: Any) -> dict[str, Any]:
    """What a notebook is given of a value, by media type, but its plain text."""
    shapes: dict[str, Any] = DisplayFormatter().format(value)[0]
    return {kind: shape for kind, shape in shapes.items() if kind != "text/plain"}


class Cells(HTMLParser):
    """The texts of a table's cells; and that every element which is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "caption"):
            self.texts.append(data)


def cells(value: Any) -> list[str]:
    parser = Cells()
    parser.feed(shown(value)["text/html"])
    assert not parser.open
    return parser.texts


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    yield request.param
    speak(None)


@pytest.fixture
def client(canary: str) -> Iterator[Client]:
    with LocalService(token=canary, allowance=Allowance(magicubes=250)) as service:
        yield Client(canary, base_url=service.base_url, ledger=MemoryLedger())


POOL = Quota(scope="model", model=EVIL, unit="calls", used=3, limit=10, resets_at=NOON)
DAY = DayUse("2026-11-19", 3, 2.5, {EVIL: 2, QWEN: 1}, {"<s>": 3})
BOOKS = Statement(
    balance=12.5,
    lots=(LotLeft(12.5, NOON), LotLeft(3, None)),
    rates={"<i>": 0.5},
    earnings=(EarnRule("<u>", 200, 50),),
    service_use=(ClassUse("2026-11-19", "<s>", calls=4), ClassUse("2026-11-19", "<s>", calls=3)),
    own_use=(ClassUse("2026-11-19", "<s>", calls=3), ClassUse("2026-11-18", "", calls=1)),
)
REPORT = BatchReport(items=9, answered=5, kept=3, failed=1, blocked=2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (POOL, [EVIL, "3", "10", "?", "2026-11-20 12:00 UTC+8"]),
        (Quotas([POOL]), [EVIL, "3", "10", "2026-11-20 12:00 UTC+8"]),
        (History([DAY]), ["2026-11-19", "3", "2.5", f"{EVIL}: 2, {QWEN}: 1"]),
        (BOOKS, ["2026-11-20 12:00 UTC+8", "<u>", "150", "<s>", "7", "3", "+4"]),
        (REPORT, ["9", "5", "3", "1", "2"]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_value_shows_its_numbers_as_text(language: str, value: Any, expected: list[str]) -> None:
    texts = cells(value)
    assert [text for text in expected if text not in texts] == []
    heads = [text for text in texts if HAN.search(text)]
    assert bool(heads) == (language == "zh")
    assert not re.search(r"<(script|s|i|u)>", shown(value)["text/html"])


def test_an_account_shows_itself_without_its_token(
    language: str, client: Client, canary: str
) -> None:
    client.chat(ChatRequest(model=QWEN, messages=(Message("user", "Hello"),)))
    books = client.statement()
    values = (client.quotas(), client.quota(QWEN), client.history(), client.plan(600, QWEN), books)
    for value in values:
        html = shown(value)["text/html"]
        assert QWEN in html or value is books or isinstance(value, Quota)
        assert canary not in html
        assert "249" in html or isinstance(value, History)
    assert QWEN in " ".join(cells(client.history()))


def test_nothing_spent_shows_empty_tables(language: str, client: Client) -> None:
    assert cells(client.history())
    assert "?" in "".join(cells(Statement(rates={})))


def test_pools_and_days_are_tuples_still(client: Client) -> None:
    client.chat(ChatRequest(model=QWEN, messages=(Message("user", "Hello"),)))
    account, model = client.quotas()
    assert (account.scope, model.scope) == ("account", "model")
    assert client.history() == tuple(client.history())


def test_an_image_shows_itself() -> None:
    png = Image("https://h/1", b"\x89PNG", "image/png")
    jpeg = Image("https://h/2", b"\xff\xd8\xff", "image/jpeg")
    webp = Image("https://h/3", b"RIFF", "image/webp")
    for one in (png, ImageResult((png,), "1")):
        assert shown(one) == {"image/png": b"\x89PNG"}
    assert shown(jpeg) == {"image/jpeg": b"\xff\xd8\xff"}
    assert 'src="data:image/webp;base64,' in shown(webp)["text/html"]
    both = shown(ImageResult((png, jpeg), "1"))
    assert set(both) == {"text/html"}
    assert 'src="data:image/png;base64,' in both["text/html"]
    assert repr(png) == "<Image image/png, 4 bytes>"
    elsewhere = Image('https://h/"onerror="x')
    assert 'src="https://h/&quot;onerror=&quot;x"' in shown(elsewhere)["text/html"]
