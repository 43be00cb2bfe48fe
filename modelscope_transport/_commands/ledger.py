"""``ledger``: where it is; begin anew; add Magicubes that were granted; mend and export it."""

from __future__ import annotations

import argparse
import time

from ..errors import ConfigurationError
from ..language import translated as _
from ..quota import Lot, describe_ledger, open_ledger
from ..settings import resolve_ledger
from .numbers import above
from .output import add_connection, add_json, client_of, tell_json

__all__ = ["add_arguments", "run"]

# Magicubes and hours of one grant: far beyond any that the service makes.
_MOST, _LONGEST = 1e9, 10 * 366 * 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    commands = parser.add_subparsers(dest="command", required=True, metavar=_("COMMAND"))
    path = commands.add_parser("path", help=_("print where it is"))
    reset = commands.add_parser("reset", help=_("forget this account: counts and spent pools"))
    reset.add_argument("--all", action="store_true", help=_("forget all accounts"))
    grant = commands.add_parser("grant", help=_("add Magicubes that were granted"))
    grant.add_argument("amount", type=above(0, _MOST), help=_("how many"))
    grant.add_argument("--hours", type=above(0, _LONGEST), help=_("hours until they expire"))
    mend = commands.add_parser("mend", help=_("drop damaged entries, of all accounts"))
    export = commands.add_parser("export", help=_("print all that is kept, as JSON"))
    for command in (path, reset, grant, mend, export):
        add_connection(command)
        add_json(command)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says, and print what came of it."""
    told, facts = _done(arguments)
    if arguments.json or arguments.command == "export":
        tell_json(facts)
    else:
        print("\n".join(told))
    return 0


def _done(arguments: argparse.Namespace) -> tuple[list[str], object]:
    """Do what the subcommand says; the lines for people, and the value for programs."""
    name = resolve_ledger(arguments.ledger)
    if arguments.command == "path":
        where = describe_ledger(name)
        return [where], {"path": where}
    if arguments.command in ("mend", "export"):
        return _inside(arguments.command, name)
    if arguments.command == "reset" and arguments.all:
        ledger = open_ledger(name)
        if ledger is not None:
            ledger.forget()
        return [_("All accounts are forgotten.")], {"forgotten": "all"}
    client = client_of(arguments)
    if client.ledger is None:
        raise ConfigurationError(_("The ledger is switched off."))
    if arguments.command == "reset":
        client.ledger.forget(client.account)
        return [_("This account is forgotten.")], {"forgotten": client.account}
    until = None if arguments.hours is None else time.time() + 3600 * arguments.hours
    lot = Lot(amount=arguments.amount, expires_at=until)
    client.ledger.grant(client.account, lot)
    return [_("{amount:.12g} Magicubes noted.").format(amount=arguments.amount)], lot


def _inside(command: str, name: str) -> tuple[list[str], object]:
    """Mend the ledger or read all of it, for which no account is needed."""
    ledger = open_ledger(name)
    if ledger is None:
        raise ConfigurationError(_("The ledger is switched off."))
    if command == "export":
        return [], ledger.export()
    dropped = ledger.mend()
    said = _("{count} damaged entries dropped.").format(count=len(dropped))
    return [*map(str, dropped), said], {"dropped": dropped}
