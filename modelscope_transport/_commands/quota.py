"""``quota``: what is left, from the ledger alone."""

from __future__ import annotations

import argparse
import sys
import time

from ..client.sync import Client
from ..quota import Quota
from ..quota.allowance import assumed_price
from .output import (
    LATER,
    add_connection,
    add_json,
    amount,
    client_of,
    how_known,
    moment,
    pick,
    show,
    tell_json,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument("model", nargs="?", help=pick("one model only", "只看一个模型"))
    parser.add_argument(
        "--refresh",
        action="store_true",
        help=pick("ask the service for the balance first (free)", "先向服务查询余额（免费）"),
    )
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        type=float,
        nargs="?",
        const=5.0,
        help=pick("show it again and again", "持续刷新"),
    )
    add_connection(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show what is left; 75 when it is nothing."""
    client = client_of(arguments)
    if arguments.refresh:
        client.balance()
    while True:
        quotas = _wanted(client, arguments.model)
        if arguments.json:
            tell_json(quotas)
        else:
            _tell(quotas, again=arguments.watch is not None)
        if arguments.watch is None:
            return LATER if quotas[0].spent else 0
        try:
            time.sleep(max(0.1, arguments.watch))
        except KeyboardInterrupt:
            return 0


def _wanted(client: Client, model: str | None) -> tuple[Quota, ...]:
    return client.quotas() if model is None else (client.quota(model),)


def _tell(quotas: tuple[Quota, ...], *, again: bool) -> None:
    if again and sys.stdout.isatty():
        print("\x1b[2J\x1b[H", end="")
    head = (
        pick("pool", "额度"),
        pick("used", "已用"),
        pick("of", "总额"),
        pick("left", "剩余"),
        pick("comes back", "恢复时间"),
        pick("known by", "来源"),
    )
    show(pick("Allowance of this token", "该令牌的额度"), head, [_row(quota) for quota in quotas])
    for line in _remarks(quotas[0]):
        print(line)
    lapsing = quotas[0].lapsing
    if lapsing:
        print(
            pick(
                f"{lapsing:g} Magicubes expire before that, if they are not spent.",
                f"其中 {lapsing:g} 魔粒将在此前过期。",
            )
        )


def _remarks(quota: Quota) -> list[str]:
    """What the table has no column for."""
    lines = []
    if quota.refused_from is not None and not quota.spent:
        price = amount(quota.refused_from, "magicubes")
        lines.append(
            pick(
                f"Calls of {price} or more are refused for now; cheaper ones are not.",
                f"单价 {price} 及以上的调用暂被拒绝；更便宜的不受影响。",
            )
        )
    if quota.unpriced:
        lines.append(
            pick(
                f"{quota.unpriced} calls of today are of a price that is not known; each is "
                f"taken as {amount(assumed_price() / 10, 'magicubes')}.",
                f"今天有 {quota.unpriced} 次调用的价格未知，每次按 "
                f"{amount(assumed_price() / 10, 'magicubes')}计。",
            )
        )
    if quota.returns == "with a sign-in":
        lines.append(
            pick(
                "Magicubes are granted when you sign in at https://modelscope.cn; calls of the "
                "API do not count as a sign-in.",
                "魔粒在登录 https://modelscope.cn 时发放；API 调用不算登录。",
            )
        )
    return lines


def _row(quota: Quota) -> tuple[str, ...]:
    name = quota.model or pick("account", "账号")
    spent = pick("spent", "已用完")
    return (
        name,
        amount(quota.used),
        amount(quota.limit, quota.unit if quota.limit is not None else None),
        spent if quota.spent else amount(quota.remaining),
        moment(quota.resets_at),
        how_known(quota),
    )
