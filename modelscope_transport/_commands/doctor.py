"""``doctor``: what may be wrong here, found out without a paid call."""

from __future__ import annotations

import argparse
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Literal

from msgspec import Struct

from ..client.sync import Client
from ..errors import AuthenticationError, ConfigurationError, ModelScopeError
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
from .output import (
    add_connection,
    add_json,
    amount,
    client_of,
    pick,
    tell_json,
)

__all__ = ["add_arguments", "run"]

_TOKEN = re.compile(r"ms-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|ms_oauth.+")
# A clock that is further off than this shifts the day of the allowance for whoever trusts it.
_MOST_SECONDS_OFF = 120.0
# Packages that bring files of the same import name, and what is known of them.
_CLASHING = {
    "langchain-modelscope-integration": "langchain_modelscope",
    "langchain-modelscope": "langchain_modelscope",
}


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "look", "wrong"]
    said: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    add_connection(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything; 1 when something is wrong."""
    findings = [finding for look in _LOOKS for finding in _looked(look, arguments)]
    if arguments.json:
        tell_json(findings)
    else:
        marks = {
            "ok": pick("ok", "正常"),
            "look": pick("look", "注意"),
            "wrong": pick("wrong", "错误"),
        }
        for finding in findings:
            print(f"{marks[finding.state]:6}{finding.what}: {finding.said}")
    return 1 if any(finding.state == "wrong" for finding in findings) else 0


Look = Callable[[argparse.Namespace], Iterator[Finding]]


def _looked(look: Look, arguments: argparse.Namespace) -> Iterator[Finding]:
    try:
        yield from look(arguments)
    except ModelScopeError as error:
        yield Finding(look.__name__.strip("_"), "wrong", str(error))


def _token(arguments: argparse.Namespace) -> Iterator[Finding]:
    name = pick("token", "令牌")
    token = resolve_token()
    found = pick(f"found in {token_variable()}", f"取自 {token_variable()}")
    if _TOKEN.fullmatch(token.reveal()):
        yield Finding(name, "ok", found)
    else:
        odd = pick(
            f"{found}, but not of a form on record (ms- and a UUID); compare it with {TOKEN_PAGE}",
            f"{found}，但形式不常见（应为 ms- 加 UUID）；请与 {TOKEN_PAGE} 核对",
        )
        yield Finding(name, "look", odd)


def _address(arguments: argparse.Namespace) -> Iterator[Finding]:
    name, url = pick("address", "地址"), resolve_base_url(arguments.base_url)
    if hub_url(url) is None:
        said = pick(
            f"{url} is not ModelScope's: balance and prices cannot be asked for",
            f"{url} 不是 ModelScope 的地址：无法查询余额和价格",
        )
        yield Finding(name, "look", said)
    else:
        yield Finding(name, "ok", url)


def _proxy(arguments: argparse.Namespace) -> Iterator[Finding]:
    proxy = resolve_proxy(resolve_base_url(arguments.base_url))
    shown = pick("none", "无")
    if proxy is not None:
        shown = urllib.parse.urlsplit(proxy.reveal()).hostname or "?"
    yield Finding(pick("proxy", "代理"), "ok", shown)


def _service(arguments: argparse.Namespace) -> Iterator[Finding]:
    client = _any_client(arguments)
    models, date = client.served_at()
    yield Finding(
        pick("service", "服务"),
        "ok",
        pick(f"answers, and lists {len(models)} models", f"有应答，列出 {len(models)} 个模型"),
    )
    name = pick("clock", "时钟")
    if date is None:
        yield Finding(name, "look", pick("the service tells no time", "服务没有告知时间"))
        return
    off = time.time() - date
    said = pick(f"{off:+.0f} s beside the service's", f"与服务相差 {off:+.0f} 秒")
    yield Finding(name, "ok" if abs(off) <= _MOST_SECONDS_OFF else "wrong", said)


def _any_client(arguments: argparse.Namespace) -> Client:
    try:
        return client_of(arguments)
    except ConfigurationError:
        return Client("anonymous", base_url=arguments.base_url, ledger="off", timeout=30.0)


def _balance(arguments: argparse.Namespace) -> Iterator[Finding]:
    name = pick("account", "账号")
    try:
        balance = client_of(arguments).balance()
    except AuthenticationError as error:
        yield Finding(name, "wrong", str(error))
        return
    except ModelScopeError as error:
        said = pick(
            f"the balance cannot be had, which may mean nothing: {error}",
            f"无法查询余额（不一定有问题）：{error}",
        )
        yield Finding(name, "look", said)
        return
    cubes = amount(balance.available, "magicubes")
    said = pick(
        f"the token is good, {cubes} are left. Whether an Alibaba Cloud account is bound and "
        "verified, only a paid call can tell",
        f"令牌有效，剩余 {cubes}。是否已绑定并实名认证阿里云账号，只有付费调用才能得知",
    )
    yield Finding(name, "ok", said)


def _ledger(arguments: argparse.Namespace) -> Iterator[Finding]:
    name, where = pick("ledger", "账本"), describe_ledger(resolve_ledger(arguments.ledger))
    try:
        client = client_of(arguments)
        if client.ledger is None:
            yield Finding(name, "look", pick("switched off", "已关闭"))
            return
        quota = client.quotas()[0]
    except ConfigurationError as error:
        yield Finding(name, "wrong", str(error))
        return
    used = amount(quota.used, quota.unit)
    said = pick(f"{where}, {used} used today", f"{where}，今日已用 {used}")
    spent = pick("; the account is spent", "；账号额度已用完")
    yield Finding(name, "look" if quota.spent else "ok", said + (spent if quota.spent else ""))


def _packages(arguments: argparse.Namespace) -> Iterator[Finding]:
    name = pick("packages", "软件包")
    clashing = [package for package in _CLASHING if _version(package) is not None]
    for package in clashing:
        said = pick(
            f"{package} {_version(package)} brings files of the same name, "
            f"{_CLASHING[package]}; one overwrites the other: pip uninstall {package}, then "
            "install modelscope-adapters again",
            f"{package} {_version(package)} 与本包同名（{_CLASHING[package]}），会互相覆盖："
            f"请 pip uninstall {package} 后重新安装 modelscope-adapters",
        )
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


_LOOKS: tuple[Look, ...] = (_token, _address, _proxy, _service, _balance, _ledger, _packages)
