"""``quota``: what is left, from the ledger; with ``--refresh`` from the service's books as well."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
import webbrowser
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from ..client.sync import Client
from ..language import translated as _
from ..quota import Quota, Statement
from ..quota.allowance import assumed_price
from ..quota.books import book_tables
from .numbers import above
from .output import (
    LATER,
    add_connection,
    add_json,
    amount,
    client_of,
    moment,
    quota_head,
    quota_row,
    say,
    show,
    tell_json,
)
from .quota_page import write_page

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument("model", nargs="?", help=_("one model only"))
    parser.add_argument(
        "--refresh",
        action="store_true",
        help=_("ask the service for its own books first (free)"),
    )
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        type=above(0, 86_400),
        nargs="?",
        const=5.0,
        help=_("show it again and again"),
    )
    parser.add_argument(
        "--html", metavar="FILE", help=_("write a page for a browser, in one file, instead")
    )
    parser.add_argument("--open", action="store_true", help=_("open that page in the browser"))
    add_connection(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show what is left; 75 when it is nothing."""
    client = client_of(arguments)
    books = _refreshed(client) if arguments.refresh else None
    if arguments.open and arguments.html is None:  # to be looked at once
        arguments.html = str(Path(tempfile.mkdtemp(prefix="modelscope-"), "allowance.html"))
    if arguments.html is not None:
        return _html(client, arguments, books)
    if arguments.watch is None:
        return _shown(client, arguments, books)
    with contextlib.suppress(KeyboardInterrupt):  # which is how it ends, at whatever it is
        while True:
            _shown(client, arguments, books)
            time.sleep(max(0.1, arguments.watch))
    return 0


def _shown(client: Client, arguments: argparse.Namespace, books: Statement | None) -> int:
    quotas = _wanted(client, arguments.model)
    if arguments.json:
        tell_json(quotas if books is None else {"quotas": quotas, "statement": _as_told(books)})
    else:
        _tell(quotas, again=arguments.watch is not None)
        for table in () if books is None else book_tables(books, moment):
            print()
            show(*table)
    sys.stdout.flush()  # what reads a pipe watches too
    return LATER if quotas[0].spent else 0


def _refreshed(client: Client) -> Statement:
    """The service's books. Each may be missing; without a balance, its error says why.

    Raises:
        ModelScopeError: the service does not report the balance.
    """
    books = client.statement()
    if books.observed_at is None:
        client.balance()
    return books


def _as_told(books: Statement) -> dict[str, Any]:
    derived = {"unfetched": books.unfetched, "differences": books.differences}
    return {**to_builtins(books), **to_builtins(derived)}


def _html(client: Client, arguments: argparse.Namespace, books: Statement | None) -> int:
    if books is None and client.ledger is not None:  # what the service said before
        books = client.ledger.statement(client.account)
    tables = () if books is None else book_tables(books, moment)
    write_page(client, arguments.html, _remarks(client.quotas()[0]), tables, arguments.model)
    say(_("The page is in {path}.").format(path=arguments.html))
    if arguments.open:
        webbrowser.open(Path(arguments.html).resolve().as_uri())
    return 0


def _wanted(client: Client, model: str | None) -> tuple[Quota, ...]:
    return client.quotas() if model is None else (client.quota(model),)


def _tell(quotas: tuple[Quota, ...], *, again: bool) -> None:
    if again and sys.stdout.isatty():
        print("\x1b[2J\x1b[H", end="")
    rows = [quota_row(quota) for quota in quotas]
    show(_("Allowance of this token"), quota_head(), rows)
    for line in _remarks(quotas[0]):
        say(line)
    lapsing = quotas[0].lapsing
    if lapsing:
        say(
            _("{lapsing:.12g} Magicubes expire before that, if they are not spent.").format(
                lapsing=lapsing
            )
        )


def _remarks(quota: Quota) -> list[str]:
    """What the table has no column for."""
    lines = []
    if quota.refused_from is not None and not quota.spent:
        price = amount(quota.refused_from, "magicubes")
        lines.append(
            _("Calls of {price} or more are refused for now; cheaper ones are not.").format(
                price=price
            )
        )
    if quota.unpriced:
        lines.append(
            _(
                "Calls of today whose price is not known: {unpriced}, each taken as "
                "{assumed_price}."
            ).format(
                unpriced=quota.unpriced, assumed_price=amount(assumed_price() / 10, "magicubes")
            )
        )
    if quota.returns == "with a sign-in":
        lines.append(
            _(
                "Magicubes are granted when you sign in at https://modelscope.cn; calls "
                "of the API do not count as a sign-in."
            )
        )
    return lines
