"""How the commands speak: tables for people, JSON for programs, nothing that steers a terminal."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from .._wire.wording import countdown
from ..client.sync import Client
from ..errors import ConfigurationError
from ..language import translated as _
from ..quota import UTC8, Quota
from ..quota.allowance import price_in_tenths
from ..quota.books import amount

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "LATER",
    "add_connection",
    "add_json",
    "amount",
    "anonymous",
    "client_of",
    "moment",
    "plain",
    "price_and_left",
    "quota_head",
    "quota_row",
    "say",
    "show",
    "tell_json",
    "terminal",
]

LATER = 75  # EX_TEMPFAIL of sysexits.h: come back later
_WIDEST = 10_000  # columns; a pipe has no width


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that name service and ledger.

    None takes the token: every user of the machine can see the arguments of a process.
    """
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help=_("address of the service"),
    )
    parser.add_argument(
        "--ledger",
        metavar="NAME",
        default="auto",
        help=_("memory, off, a file, redis://…"),
    )
    parser.add_argument(
        "--account",
        metavar="NAME",
        help=_("name of the account, where clients are given one"),
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--json``, for programs."""
    parser.add_argument("--json", action="store_true", help=_("print JSON"))


def client_of(arguments: argparse.Namespace, timeout: float = 30.0) -> Client:
    """The client that the options describe.

    Args:
        arguments: with the options of `add_connection`.
        timeout: seconds that one call may take.

    Raises:
        ConfigurationError: there is no token, or an option cannot be used.
    """
    return Client(
        base_url=arguments.base_url,
        ledger=arguments.ledger,
        account=arguments.account,
        timeout=timeout,
    )


def anonymous(arguments: argparse.Namespace) -> Client:
    """As `client_of`; without a token, for questions that the service answers without one."""
    try:
        return client_of(arguments)
    except ConfigurationError:
        return Client("anonymous", base_url=arguments.base_url, ledger="off", timeout=30.0)


def tell_json(value: Any) -> None:
    """Print a value as JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def moment(when: dt.datetime) -> str:
    """A time: in UTC+8, here, and how long it is until then."""
    left = countdown(when)
    there, here = when.astimezone(UTC8), when.astimezone()
    return _("{there:%m-%d %H:%M} UTC+8 ({here:%m-%d %H:%M} here, in {left})").format(
        there=there, here=here, left=left
    )


def quota_head() -> tuple[str, ...]:
    """The head of a table of quotas."""
    return _("pool"), _("used"), _("of"), _("left"), _("comes back"), _("known by")


def quota_row(quota: Quota) -> tuple[str, ...]:
    """A row of that table."""
    return (
        quota.model or _("account"),
        amount(quota.used),
        amount(quota.limit, quota.unit),
        _("spent") if quota.spent else amount(quota.remaining),
        moment(quota.resets_at),
        _how_known(quota),
    )


def _how_known(quota: Quota) -> str:
    """Where a number comes from, and how old it is."""
    word = {
        "measured": _("counted here"),
        "reported": _("said by the service"),
        "estimated": _("published rule"),
    }[quota.kind]
    if quota.age is None:
        return word
    minutes = round(quota.age / 60)
    return _("{word}, {minutes} min ago").format(word=word, minutes=minutes)


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; where it is wider than the terminal, as a list of its rows instead.

    What is not a terminal gets the table in its whole width.
    """
    from rich import box
    from rich.table import Table

    console = terminal(sys.stdout)
    table = Table(
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for name in head:
        table.add_column(plain(name))
    for row in rows:
        table.add_row(*map(plain, row))
    console.print(plain(title), style="bold")  # a title of the table's own ends with its columns
    width = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    if not console.is_terminal:
        with console.capture() as caught:
            console.print(table, width=width, crop=False, no_wrap=True)
        print("\n".join(line.rstrip() for line in caught.get().splitlines()))
    elif width <= console.width:  # rich makes a narrower one fit by cutting words
        console.print(table)
    else:
        _list(console, head, rows)


def _list(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for first, *others in rows:
        console.print(plain(first), soft_wrap=True)
        for name, cell in zip(head[1:], others, strict=True):
            if cell:
                console.print(plain(_("  {name}: {fact}").format(name=name, fact=cell)))


def say(text: str) -> None:
    """Print a sentence, at a terminal broken between words."""
    terminal(sys.stdout).print(plain(text))


def terminal(file: TextIO) -> Console:
    """A console for one of the outputs that changes nothing of what is printed."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise  # the error that is being handled; rich would end the process with 1

    # Not left to rich, which takes a terminal that it calls dumb to be 80 columns wide.
    width, height = shutil.get_terminal_size() if file.isatty() else (_WIDEST, 25)
    return Plain(file=file, width=width, height=height, highlight=False, markup=False, emoji=False)


# These change the direction of writing, and so what a line seems to say.
_TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def plain(text: str) -> str:
    """Words of others, fit for a terminal: characters that steer it are shown as ``\ufffd``."""
    return "".join(map(_plain, text))


def _plain(letter: str) -> str:
    steers = unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t"
    return "\ufffd" if steers or letter in _TURNING else letter


def price_and_left(client: Client, model: str) -> tuple[float | None, Quota | None]:
    """What a call to a model costs in Magicubes, and what is left; ``None`` where not known."""
    price = price_in_tenths(client.profile(model).tier)
    left = None
    with contextlib.suppress(ConfigurationError):  # the ledger is switched off
        quota = client.quotas()[0]
        left = None if quota.remaining is None else quota
    return None if price is None else price / 10, left
