"""How the commands speak: two languages, tables for people, JSON for programs."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec

from .._wire.wording import countdown
from ..client.sync import Client
from ..errors import ConfigurationError
from ..quota import UTC8, Quota
from ..settings import resolve_language

__all__ = [
    "LATER",
    "add_connection",
    "add_json",
    "amount",
    "anonymous",
    "client_of",
    "moment",
    "pick",
    "show",
    "tell_json",
]

LATER = 75  # EX_TEMPFAIL of sysexits.h: come back later


def pick(english: str, chinese: str) -> str:
    """The one of two texts that the reader reads."""
    return chinese if resolve_language() == "zh" else english


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Options that say which service and ledger. The token is none: others could see it."""
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help=pick("address of the service", "服务地址"),
    )
    parser.add_argument(
        "--ledger",
        metavar="NAME",
        default="auto",
        help=pick("memory, off, a file, redis://…", "memory、off、文件或 redis://…"),
    )
    parser.add_argument(
        "--account",
        metavar="NAME",
        help=pick("name of the account, where clients are given one", "客户端所用的账号名"),
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option for programs."""
    parser.add_argument("--json", action="store_true", help=pick("print JSON", "输出 JSON"))


def client_of(arguments: argparse.Namespace) -> Client:
    """The client that the options describe."""
    return Client(
        base_url=arguments.base_url,
        ledger=arguments.ledger,
        account=arguments.account,
        timeout=30.0,
    )


def anonymous(arguments: argparse.Namespace) -> Client:
    """The same, for questions that the service answers without a token as well."""
    try:
        return client_of(arguments)
    except ConfigurationError:
        return Client("anonymous", base_url=arguments.base_url, ledger="off", timeout=30.0)


def tell_json(value: Any) -> None:
    """Print a value as JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def amount(number: float | None, unit: str | None = None) -> str:
    """A number as people write it, with its unit; ``?`` where nobody knows."""
    if number is None:
        return "?"
    names = {"magicubes": pick("Magicubes", "魔粒"), "calls": pick("calls", "次")}
    return f"{number:g} {names[unit]}" if unit else f"{number:g}"


def moment(when: dt.datetime) -> str:
    """A time: in UTC+8, here, and how long it is until then."""
    left = countdown(when, resolve_language())
    there, here = when.astimezone(UTC8), when.astimezone()
    return pick(
        f"{there:%m-%d %H:%M} UTC+8 ({here:%m-%d %H:%M} here, in {left})",
        f"{there:%m-%d %H:%M} UTC+8（本地 {here:%m-%d %H:%M}，还有{left}）",
    )


def how_known(quota: Quota) -> str:
    """Where a number comes from, and how old it is."""
    word = {
        "measured": pick("counted here", "本地计数"),
        "reported": pick("said by the service", "服务告知"),
        "estimated": pick("published rule", "按公布的规则估计"),
    }[quota.kind]
    if quota.age is None:
        return word
    minutes = round(quota.age / 60)
    return pick(f"{word}, {minutes} min ago", f"{word}，{minutes} 分钟前")


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: by rich at a terminal where that is installed, else in plain columns."""
    if sys.stdout.isatty():
        try:
            _show_richly(title, head, rows)
        except ImportError:
            pass
        else:
            return
    print(title)
    table = [list(head), *map(list, rows)]
    widths = [max(display_width(row[place]) for row in table) for place in range(len(head))]
    for row in table:
        cells = (
            cell + " " * (width - display_width(cell))
            for cell, width in zip(row, widths, strict=True)
        )
        print("  ".join(cells).rstrip())


def _show_richly(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def display_width(text: str) -> int:
    """Columns a text takes at a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
