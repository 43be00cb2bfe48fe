"""``ledger``: where it is; begin anew; tell it of Magicubes that were granted."""

from __future__ import annotations

import argparse
import time

from ..errors import ConfigurationError
from ..quota import Lot, describe_ledger, open_ledger
from ..settings import resolve_ledger
from .output import add_connection, client_of, pick

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
        "grant", help=pick("tell of Magicubes that were granted", "登记获得的魔粒")
    )
    grant.add_argument("amount", type=float, help=pick("how many", "数量"))
    grant.add_argument(
        "--hours", type=float, help=pick("hours until they expire", "多少小时后过期")
    )
    for deed in (path, reset, grant):
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
