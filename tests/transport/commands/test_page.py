"""``quota --html``: a page in one file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from modelscope_transport import ChatRequest, Client, Message, QuotaExceededError, cli
from modelscope_transport.emulator import LocalService
from modelscope_transport.language import speak
from modelscope_transport.shown import bars_html, table_html

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


@pytest.fixture
def client(
    modelscope_service: LocalService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Client:
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", modelscope_service.token)
    monkeypatch.setenv("MODELSCOPE_LEDGER", str(tmp_path / "ledger.sqlite3"))
    return Client()


def ask(client: Client) -> None:
    client.chat(ChatRequest(model=QWEN, messages=(Message("user", "Hello"),)))


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Calls by model"), ("zh", "各模型的调用次数")]
)
def test_the_page_shows_the_use_and_needs_nothing_else(
    language: str, words: str, client: Client, modelscope_service: LocalService, tmp_path: Path
) -> None:
    ask(client)
    page = tmp_path / "allowance.html"
    assert cli.main(["quota", "--html", str(page), "--lang", language]) == 0
    speak(None)
    text = page.read_text(encoding="utf-8")
    HTMLParser().feed(text)
    assert words in text
    assert QWEN in text
    assert "199" in text
    assert modelscope_service.token not in text
    assert not re.search(r"<script|<link|src=|url\(|@import", text)
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(picture)


def test_a_spent_day_is_shown(
    client: Client, modelscope_service: LocalService, tmp_path: Path
) -> None:
    modelscope_service.next("account_spent")
    with pytest.raises(QuotaExceededError):
        ask(client)
    page = tmp_path / "allowance.html"
    assert cli.main(["quota", "--html", str(page)]) == 0
    assert 'class="left spent"' in page.read_text(encoding="utf-8")


def test_the_page_plans_jobs_of_the_model_that_is_used(client: Client, tmp_path: Path) -> None:
    ask(client)
    page = tmp_path / "allowance.html"
    assert cli.main(["quota", "--html", str(page)]) == 0
    (plans,) = re.findall(f"A job with {QWEN}.*?</table>", page.read_text(encoding="utf-8"))
    rows = [re.findall("<td[^>]*>([^<]*)<", row) for row in plans.split("<tr>")[2:]]
    # 199 of 200 are left today, and 200 come each day after
    assert [row[:6] for row in rows] == [
        ["100", "100", "100", "100", "200", "1"],
        ["1000", "1000", "1000", "199", "200", "6"],
        ["10000", "10000", "10000", "199", "200", "51"],
    ]
    cli.main(["quota", "Qwen/Qwen3.5-397B-A17B", "--html", str(page)])
    assert "A job with Qwen/Qwen3.5-397B-A17B" in page.read_text(encoding="utf-8")


def test_the_page_shows_what_today_still_grants_once_the_service_said_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "allowance.html"
    with LocalService(allowance="magicubes=250") as service:
        monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
        place = ["--base-url", service.base_url, "--ledger", str(tmp_path / "books.sqlite3")]
        for words in (["quota", "--refresh"], ["quota", "--html", str(page)]):
            assert cli.main([*words, *place]) == 0
    assert "What today grants" in page.read_text(encoding="utf-8")


def test_a_page_that_is_only_to_be_opened_needs_no_name(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", opened.append)
    ask(client)
    assert cli.main(["quota", "--open"]) == 0
    (page,) = tmp_path.rglob("*.html")
    assert opened == [page.as_uri()]
    assert QWEN in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_said(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["quota", "--html", str(tmp_path / "nowhere" / "page.html")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_texts_are_escaped() -> None:
    for made in (table_html("<i>", ["<u>"], [["<s>"]]), bars_html("<i>", {"<u>": 1})):
        assert not re.search("<[ius]>", made)
        assert "&lt;i&gt;" in made
