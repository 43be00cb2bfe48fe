"""``ledger``: where it is; begin anew; add Magicubes that were granted; mend and export it."""

from __future__ import annotations

import argparse
import time

from ..errors import ConfigurationError
from ..quota import Lot, describe_ledger, open_ledger
from ..settings import resolve_ledger
from .output import add_connection, client_of, pick, tell_json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    deeds = parser.add_subparsers(dest="deed", required=True, metavar="COMMAND")
    path = deeds.add_parser("path", help=pick("print where it is", "显示位置"))
    reset = deeds.add_parser(
        "reset", help=pick("forget this account: counts and spent pools", "清除该账号的记录")
    )
    reset.add_argument(
        "--all", action="store_true", help=pick("forget all accounts", "清除所有账号")
    )
    grant = deeds.add_parser(
        "grant", help=pick("add Magicubes that were granted", "登记获得的魔粒")
    )
    grant.add_argument("amount", type=float, help=pick("how many", "数量"))
    grant.add_argument(
        "--hours", type=float, help=pick("hours until they expire", "多少小时后过期")
    )
    mend = deeds.add_parser(
        "mend", help=pick("drop damaged entries, of all accounts", "删除所有账号中损坏的记录")
    )
    export = deeds.add_parser(
        "export", help=pick("print all that is kept, as JSON", "以 JSON 输出全部记录")
    )
    for deed in (path, reset, grant, mend, export):
        add_connection(deed)


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    name = resolve_ledger(arguments.ledger)
    if arguments.deed == "path":
        print(describe_ledger(name))
        return 0
    if arguments.deed == "reset" and arguments.all:
        ledger = open_ledger(name)
        if ledger is not None:
            ledger.forget()
        print(pick("All accounts are forgotten.", "已清除所有账号的记录。"))
        return 0
    if arguments.deed in ("mend", "export"):
        return _look_inside(arguments.deed, name)
    client = client_of(arguments)
    if client.ledger is None:
        raise ConfigurationError(pick("The ledger is switched off.", "账本已关闭。"))
    account = client.account
    if arguments.deed == "reset":
        client.ledger.forget(account)
        print(pick("This account is forgotten.", "已清除该账号的记录。"))
        return 0
    until = None if arguments.hours is None else time.time() + 3600 * arguments.hours
    client.ledger.grant(account, Lot(amount=arguments.amount, expires_at=until))
    print(pick(f"{arguments.amount:g} Magicubes noted.", f"已登记 {arguments.amount:g} 魔粒。"))
    return 0


def _look_inside(deed: str, name: str) -> int:
    """What needs no account: mend the ledger, or print it."""
    ledger = open_ledger(name)
    if ledger is None:
        raise ConfigurationError(pick("The ledger is switched off.", "账本已关闭。"))
    if deed == "export":
        tell_json(ledger.export())
        return 0
    dropped = ledger.mend()
    for cell in dropped:
        print(cell)
    print(pick(f"{len(dropped)} damaged entries dropped.", f"已删除 {len(dropped)} 条损坏的记录。"))
    return 0
