"""``ledger``: where it is; begin anew; add Magicubes that were granted; mend and export it."""

from __future__ import annotations

import argparse
import time

from ..errors import ConfigurationError
from ..language import translated as _
from ..quota import Lot, describe_ledger, open_ledger
from ..settings import resolve_ledger
from .numbers import above
from .output import add_connection, client_of, tell_json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    deeds = parser.add_subparsers(dest="deed", required=True, metavar=_("COMMAND"))
    path = deeds.add_parser("path", help=_("print where it is"))
    reset = deeds.add_parser("reset", help=_("forget this account: counts and spent pools"))
    reset.add_argument("--all", action="store_true", help=_("forget all accounts"))
    grant = deeds.add_parser("grant", help=_("add Magicubes that were granted"))
    grant.add_argument("amount", type=above(0), help=_("how many"))
    grant.add_argument("--hours", type=above(0), help=_("hours until they expire"))
    mend = deeds.add_parser("mend", help=_("drop damaged entries, of all accounts"))
    export = deeds.add_parser("export", help=_("print all that is kept, as JSON"))
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
        print(_("All accounts are forgotten."))
        return 0
    if arguments.deed in ("mend", "export"):
        return _look_inside(arguments.deed, name)
    client = client_of(arguments)
    if client.ledger is None:
        raise ConfigurationError(_("The ledger is switched off."))
    account = client.account
    if arguments.deed == "reset":
        client.ledger.forget(account)
        print(_("This account is forgotten."))
        return 0
    until = None if arguments.hours is None else time.time() + 3600 * arguments.hours
    client.ledger.grant(account, Lot(amount=arguments.amount, expires_at=until))
    print(_("{amount:g} Magicubes noted.").format(amount=arguments.amount))
    return 0


def _look_inside(deed: str, name: str) -> int:
    """What needs no account: mend the ledger, or print it."""
    ledger = open_ledger(name)
    if ledger is None:
        raise ConfigurationError(_("The ledger is switched off."))
    if deed == "export":
        tell_json(ledger.export())
        return 0
    dropped = ledger.mend()
    for cell in dropped:
        print(cell)
    print(_("{count} damaged entries dropped.").format(count=len(dropped)))
    return 0
