"""The site and our own two pages, as a phone and a desktop show them, by day and by night."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from docs.browser import DESKTOP, PHONE, Scheme, look
from docs.local_account import local_account
from docs.take_pictures import CODER, FLAGSHIP, ask, calls_seen, wait_for
from tests.web.seeing import complaints, faint, missing_glyphs, overflow

EACH_WIDTH = pytest.mark.parametrize("width", [PHONE, DESKTOP], ids=["phone", "desktop"])
EACH_SCHEME = pytest.mark.parametrize("scheme", ["light", "dark"])
EACH_LANGUAGE = pytest.mark.parametrize("language", ["en", "zh"])
PAGES = ["", "guides/agents/", "troubleshooting/", "allowance/", "reference/langchain/"]


def is_dark(driver: Chrome) -> bool:
    """Whether the page as it is drawn is dark: its text is light."""
    color = driver.execute_script("return getComputedStyle(document.querySelector('p')).color")
    numbers = [float(part) for part in color.partition("(")[2].rstrip(")").split(",")[:3]]
    return sum(numbers) > 3 * 128


@EACH_SCHEME
@EACH_WIDTH
@EACH_LANGUAGE
@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_the_site(
    driver: Chrome, site: str, page: str, language: str, width: int, scheme: Scheme
) -> None:
    look(driver, f"{site}{'zh/' if language == 'zh' else ''}{page}", width, scheme)
    assert driver.execute_script("return document.documentElement.lang") == language
    assert complaints(driver) == []
    assert is_dark(driver) == (scheme == "dark")


@EACH_SCHEME
@EACH_WIDTH
def test_the_page_of_the_allowance(driver: Chrome, quota: str, width: int, scheme: Scheme) -> None:
    look(driver, quota, width, scheme)
    assert complaints(driver) == []
    assert is_dark(driver) == (scheme == "dark")
    bars = driver.find_elements(By.CSS_SELECTOR, "figure")
    assert len(bars) == 4
    assert all(bar.size["height"] > 0 for bar in bars)


@EACH_SCHEME
@EACH_WIDTH
@EACH_LANGUAGE
def test_the_local_service_shows_calls_and_a_spent_day(
    driver: Chrome, language: str, width: int, scheme: Scheme
) -> None:
    with local_account("magicubes=3") as (service, _):
        look(driver, f"{service.root_url}/?lang={language}", width, scheme)
        wait_for(driver, "document.getElementById('left').textContent.includes('3 ')")
        assert complaints(driver) == []

        ask(CODER)  # while the page is open
        wait_for(driver, calls_seen(1))
        cells = driver.find_elements(By.CSS_SELECTOR, "#calls tr:first-child td")
        assert [cell.text for cell in cells[1:]] == [CODER, "POST /v1/chat/completions", "200", "1"]

        ask(FLAGSHIP)
        ask(CODER)
        wait_for(driver, calls_seen(3))
        left = driver.find_element(By.ID, "left")
        assert (
            left.text
            == {
                "en": "The allowance is spent: calls are refused.",
                "zh": "额度已用完：调用会被拒绝。",
            }[language]
        )
        first = driver.find_element(By.CSS_SELECTOR, "#calls tr:first-child")
        assert "429" in first.text
        assert first.get_attribute("class") == left.get_attribute("class") == "bad"
        assert complaints(driver) == []
        assert is_dark(driver) == (scheme == "dark")
        assert service.token not in driver.page_source


def test_the_local_service_changes_its_language_at_a_click(driver: Chrome) -> None:
    with local_account("magicubes=3") as (service, _):
        look(driver, f"{service.root_url}/?lang=en")
        driver.find_element(By.LINK_TEXT, "中文").click()
        wait_for(driver, "document.documentElement.lang === 'zh-CN'")
        assert "本地服务" in driver.title


def test_the_site_changes_its_language_where_the_reader_is(driver: Chrome, site: str) -> None:
    look(driver, f"{site}guides/chat/")
    other = driver.find_element(By.CSS_SELECTOR, "a[hreflang=zh]").get_attribute("href")
    assert other == f"{site}zh/guides/chat/"


@pytest.mark.parametrize(("language", "word"), [("", "allowance"), ("zh/", "额度")])
def test_the_search_finds_a_word(driver: Chrome, site: str, language: str, word: str) -> None:
    look(driver, f"{site}{language}")
    driver.find_element(By.CSS_SELECTOR, "label.md-search__icon, [data-md-component=search-query]")
    driver.execute_script("document.querySelector('#__search').checked = true")
    driver.find_element(By.CSS_SELECTOR, "[data-md-component=search-query]").send_keys(word)
    wait_for(driver, "document.querySelectorAll('.md-search-result__item').length > 0")
    found = driver.find_element(By.CSS_SELECTOR, ".md-search-result__list")
    assert word in (found.get_attribute("textContent") or "").lower()


def test_a_message_of_an_error_leads_to_its_section(driver: Chrome, site: str) -> None:
    look(driver, f"{site}zh/troubleshooting/#quotaexceedederror")
    section = driver.find_element(By.ID, "quotaexceedederror")
    assert driver.execute_script("return arguments[0].getBoundingClientRect().top", section) >= 0
    assert "QuotaExceededError" in section.text


# --- these looks see what is wrong


def write(folder: Path, body: str) -> str:
    page = folder / "page.html"
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    page.write_text(f"<!doctype html>{head}<body>{body}", encoding="utf-8")
    return page.as_uri()


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("<div style='width:600px'>wide</div>", overflow),
        ("<p>a character of no font: \ue123</p>", missing_glyphs),
        ("<p>an unassigned one: \u0378</p>", missing_glyphs),
        ("<p style='color:#aaa'>faint</p>", faint),
    ],
)
def test_what_is_wrong_is_seen(driver: Chrome, tmp_path: Path, body: str, seen: object) -> None:
    look(driver, write(tmp_path, body), PHONE)
    assert callable(seen)
    assert len(seen(driver)) >= 1


def test_what_is_right_is_not_seen(driver: Chrome, tmp_path: Path) -> None:
    wide = "<div style='overflow-x:auto'><div style='width:600px'>魔搭 ModelScope</div></div>"
    look(driver, write(tmp_path, f"{wide}<p>它在这里：“额度” — … → ✓</p>"), PHONE)
    assert complaints(driver) == []
