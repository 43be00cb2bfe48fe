"""``plan``: does a job fit into today?"""

from __future__ import annotations

import argparse

from ..quota import Plan
from .output import (
    LATER,
    add_connection,
    add_json,
    amount,
    client_of,
    pick,
    tell_json,
)

__all__ = ["add_arguments", "plan_lines", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "items",
        metavar="N",
        type=int,
        help=pick("questions to ask, or texts to embed", "问题数，或要嵌入的文本数"),
    )
    parser.add_argument("--model", required=True, metavar="ID", help=pick("model ID", "模型 ID"))
    add_connection(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Forecast; 75 when it takes more than today."""
    plan = client_of(arguments).plan(arguments.items, arguments.model)
    if arguments.json:
        tell_json(plan)
    else:
        print("\n".join(plan_lines(plan)))
    return 0 if plan.fits else LATER


def plan_lines(plan: Plan) -> list[str]:
    """A forecast in sentences."""
    cost = amount(plan.magicubes, "magicubes")
    lines = [
        pick(
            f"{plan.items} with {plan.model}: {plan.calls} calls, {cost}.",
            f"{plan.items} 项，{plan.model}：{plan.calls} 次调用，{cost}。",
        )
    ]
    if plan.fits:
        lines.append(pick("All of it fits into today.", "今天可以全部完成。"))
    elif plan.days is None:
        lines.append(pick("Nothing of it can be done.", "无法完成。"))
    else:
        lines.append(
            pick(
                f"{plan.fits_today} fit into today, then {plan.a_day} a day: "
                f"{plan.days} days, done on {plan.done_on}.",
                f"今天可做 {plan.fits_today} 次，之后每天 {plan.a_day} 次：共 {plan.days} 天，"
                f"{plan.done_on} 完成。",
            )
        )
    if plan.kind == "estimated":
        lines.append(
            pick(
                "The allowance is the published rule's, not this account's: "
                "`modelscope-adapters quota --refresh` asks for the true one.",
                "额度按公布的规则估计；`modelscope-adapters quota --refresh` 可查询实际余额。",
            )
        )
    return lines
