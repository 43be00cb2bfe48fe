"""``login``: ask for the token, check it with a free request, and store it."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import sys

from ..client.sync import Client
from ..errors import AuthenticationError, ConfigurationError, ModelScopeError
from ..language import translated as _
from ..settings import TOKEN_PAGE, resolve_token, token_variable
from ..token_file import store_token
from .output import add_json, amount, tell_json
from .piped import read_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument("--base-url", metavar="URL", help=_("address of the service"))
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Store a token; 1 when the service does not accept it, or none can be asked."""
    token = resolve_token(_asked())
    try:
        left = Client(token, base_url=arguments.base_url, ledger="off", timeout=30.0).balance()
        checked = _("The token is good: {left} are left.").format(
            left=amount(left.available, "magicubes")
        )
    except (AuthenticationError, ConfigurationError):
        raise  # it would fail in the same way with every command
    except ModelScopeError as error:
        checked = _("The token could not be checked: {error}").format(error=error)
    path = store_token(token)
    if arguments.json:
        tell_json({"stored": str(path), "checked": checked})
        return 0
    print(checked)
    print(_("It is stored in {path}, which only you can read.").format(path=path))
    if (variable := token_variable()) is not None:
        said = _("{variable} is set too, and comes first: unset it to use the stored token.")
        print(said.format(variable=variable))
    return 0


def _asked() -> str:
    """The token, typed without being shown, or the first line of a pipe.

    Raises:
        ConfigurationError: none was entered. A token of the environment is not taken instead.
    """
    text = ""
    if not sys.stdin.isatty():
        text = read_text(sys.stdin.readline)
    else:
        said = _("Create a token at {page} and paste it here; it is not shown.")
        print(said.format(page=TOKEN_PAGE), file=sys.stderr)
        with contextlib.suppress(EOFError):
            text = getpass.getpass(_("Token: "))
    if not text.strip():
        said = _("No token was entered. Create one at {page}, then type it or pipe it in.")
        raise ConfigurationError(said.format(page=TOKEN_PAGE))
    return text
