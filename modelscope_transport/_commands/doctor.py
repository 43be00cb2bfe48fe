"""``doctor``: what may be wrong here: free checks first, a paid call only after a yes."""

from __future__ import annotations

import argparse
import re
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Literal

from msgspec import Struct

from ..errors import AuthenticationError, ConfigurationError, ModelScopeError
from ..language import translated as _
from ..quota import describe_ledger
from ..settings import (
    TOKEN_PAGE,
    hub_url,
    resolve_base_url,
    resolve_ledger,
    resolve_proxy,
    resolve_token,
    token_variable,
)
from ..token_file import token_path
from ..types import ChatRequest, Message
from .output import (
    add_connection,
    add_json,
    amount,
    anonymous,
    client_of,
    price_and_left,
    say,
    tell_json,
)
from .piped import typed_line

__all__ = ["add_arguments", "run"]

_TOKEN = re.compile(r"ms-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|ms_oauth.+")
# Seconds; a clock that is further off shifts the day of the allowance.
_MOST_SECONDS_OFF = 120.0
# Other packages, and the folder of ours that each overwrites.
_CLASHING = {
    "langchain-modelscope-integration": "langchain_modelscope",
    "langchain-modelscope": "langchain_modelscope",
}


class Finding(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        what: its name.
        state: ``"look"`` for what may be wrong.
        said: what was found.
    """

    what: str
    state: Literal["ok", "look", "wrong"]
    said: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "--model", metavar="ID", help=_("look at this model too, and offer to call it (paid)")
    )
    parser.add_argument("--yes", action="store_true", help=_("make the paid call without asking"))
    add_connection(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything; 1 when something is wrong."""
    marks = {"ok": _("ok"), "look": _("look"), "wrong": _("wrong")}
    findings = []
    for look in _LOOKS if arguments.model is None else (*_LOOKS, _model, _trial):
        for finding in _looked(look, arguments):
            findings.append(finding)
            if not arguments.json:  # at once: the next look may take a while
                line = _("{mark:6}{what}: {said}").format(
                    mark=marks[finding.state], what=finding.what, said=finding.said
                )
                say(line)
    if arguments.json:
        tell_json(findings)
    return 1 if any(finding.state == "wrong" for finding in findings) else 0


Look = Callable[[argparse.Namespace], Iterator[Finding]]


def _looked(look: Look, arguments: argparse.Namespace) -> Iterator[Finding]:
    try:
        yield from look(arguments)
    except ModelScopeError as error:
        yield Finding(_(look.__name__.strip("_")), "wrong", str(error))


def _token(arguments: argparse.Namespace) -> Iterator[Finding]:
    name = _("token")
    token = resolve_token()
    found = _("found in {place}").format(place=token_variable() or token_path())
    if _TOKEN.fullmatch(token.reveal()):
        yield Finding(name, "ok", found)
    else:
        odd = _(
            "{found}, but not of a form on record (ms- and a UUID); compare it with {token_page}"
        ).format(found=found, token_page=TOKEN_PAGE)
        yield Finding(name, "look", odd)


def _has_token() -> bool:
    """Whether there is a token; where there is none, `_token` has said why."""
    try:
        resolve_token()
    except ConfigurationError:
        return False
    return True


def _address(arguments: argparse.Namespace) -> Iterator[Finding]:
    name, url = _("address"), resolve_base_url(arguments.base_url)
    if hub_url(url) is None:
        said = _("{url} is not ModelScope's: balance and prices cannot be asked for").format(
            url=url
        )
        yield Finding(name, "look", said)
    else:
        yield Finding(name, "ok", url)


def _proxy(arguments: argparse.Namespace) -> Iterator[Finding]:
    proxy = resolve_proxy(resolve_base_url(arguments.base_url))
    shown = _("none")
    if proxy is not None:
        shown = urllib.parse.urlsplit(proxy.reveal()).hostname or "?"
    yield Finding(_("proxy"), "ok", shown)


def _service(arguments: argparse.Namespace) -> Iterator[Finding]:
    client = anonymous(arguments)
    models, date = client.served_at()
    yield Finding(
        _("service"),
        "ok",
        _("answers, and lists {count} models").format(count=len(models)),
    )
    name = _("clock")
    if date is None:
        yield Finding(name, "look", _("the service sends no time"))
        return
    off = time.time() - date
    said = _("{off:+.0f} s beside the service's").format(off=off)
    yield Finding(name, "ok" if abs(off) <= _MOST_SECONDS_OFF else "wrong", said)


def _account(arguments: argparse.Namespace) -> Iterator[Finding]:
    name = _("account")
    if not _has_token():
        yield Finding(name, "look", _("cannot be asked without a token"))
        return
    try:
        balance = client_of(arguments).balance()
    except AuthenticationError as error:
        yield Finding(name, "wrong", str(error))
        return
    except ModelScopeError as error:
        said = _("the balance cannot be had, which may mean nothing: {error}").format(error=error)
        yield Finding(name, "look", said)
        return
    cubes = amount(balance.available, "magicubes")
    said = _(
        "the token is good, {cubes} are left. Whether an Alibaba Cloud account is "
        "bound and verified, only a paid call can show"
    ).format(cubes=cubes)
    yield Finding(name, "ok", said)


def _ledger(arguments: argparse.Namespace) -> Iterator[Finding]:
    name, ledger = _("ledger"), resolve_ledger(arguments.ledger)
    where = describe_ledger(ledger)
    if not _has_token():
        said = _("{where}; what was used cannot be shown without a token")
        yield Finding(name, "look", said.format(where=where))
        return
    try:
        # Named, even the usual file: if it cannot be used, that is an error and not a warning.
        named = {"ledger": where if ledger == "auto" else ledger}
        client = client_of(argparse.Namespace(**vars(arguments) | named))
        if client.ledger is None:
            yield Finding(name, "look", _("switched off"))
            return
        quota = client.quotas()[0]
    except ConfigurationError as error:
        yield Finding(name, "wrong", str(error))
        return
    used = amount(quota.used, quota.unit)
    said = _("{where}, {used} used today").format(where=where, used=used)
    spent = _("; the account is spent")
    yield Finding(name, "look" if quota.spent else "ok", said + (spent if quota.spent else ""))


def _packages(arguments: argparse.Namespace) -> Iterator[Finding]:
    name = _("packages")
    clashing = [package for package in _CLASHING if _version(package) is not None]
    for package in clashing:
        said = _(
            "{package} {package2} brings files of the same name, {clashing}; one "
            "overwrites the other: pip uninstall {package}, then install "
            "modelscope-adapters again"
        ).format(package=package, package2=_version(package), clashing=_CLASHING[package])
        yield Finding(name, "wrong", said)
    if not clashing:
        there = ("modelscope-adapters", "langchain-core", "llama-index-core", "httpx", "redis")
        said = ", ".join(f"{package} {_version(package)}" for package in there if _version(package))
        yield Finding(name, "ok", said)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _model(arguments: argparse.Namespace) -> Iterator[Finding]:
    """What the service says of the model; free."""
    status = anonymous(arguments).model_status(arguments.model)
    name = _("model")
    if status.served:
        price = amount(status.magicubes, "magicubes")
        said = _("{model} is served, a call costs {price}").format(model=status.id, price=price)
        yield Finding(name, "ok", said)
        return
    said = _("{model} is not served: it was withdrawn, never served, or is spelt otherwise").format(
        model=status.id
    )
    if status.near:
        said += _("; perhaps {near}").format(near=_(", ").join(status.near))
    yield Finding(name, "wrong" if status.served is False else "look", said)


def _trial(arguments: argparse.Namespace) -> Iterator[Finding]:
    """One paid call, after a yes: the only proof that the account may call."""
    name, client = _("trial"), client_of(arguments)
    price, left = price_and_left(client, arguments.model)
    question = _("Make one call to {model}? It costs {price}; {left} left. [y/N] ").format(
        model=arguments.model,
        price=amount(price, "magicubes"),
        left="?" if left is None else amount(left.remaining, left.unit),
    )
    if not arguments.yes and not _agreed(question):
        yield Finding(name, "look", _("not made; --yes makes it without asking"))
        return
    words = (Message("user", _("Say hello in one word.")),)
    answer = client.chat(ChatRequest(model=arguments.model, messages=words, max_tokens=200))
    heard = (answer.text or answer.reasoning).strip()[:60]
    yield Finding(name, "ok", _("{model} answers: {heard}").format(model=answer.model, heard=heard))


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    try:
        return typed_line(question).strip().lower() in ("y", "yes", "是")
    except EOFError:
        return False


_LOOKS: tuple[Look, ...] = (_token, _address, _proxy, _service, _account, _ledger, _packages)
