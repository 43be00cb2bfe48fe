"""``plan``: does a job fit into today?"""

from __future__ import annotations

import argparse

from ..language import translated as _
from ..quota import Plan
from .numbers import whole
from .output import (
    LATER,
    add_connection,
    add_json,
    amount,
    client_of,
    say,
    tell_json,
)

__all__ = ["add_arguments", "plan_lines", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "items",
        metavar="N",
        type=whole(1),
        help=_("questions to ask, or texts to embed"),
    )
    parser.add_argument("--model", required=True, metavar="ID", help=_("model ID"))
    add_connection(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Forecast; 75 when it takes more than today."""
    plan = client_of(arguments).plan(arguments.items, arguments.model)
    if arguments.json:
        tell_json(plan)
    else:
        for line in plan_lines(plan):
            say(line)
    return 0 if plan.fits else LATER


def plan_lines(plan: Plan) -> list[str]:
    """A forecast in sentences."""
    cost = amount(plan.magicubes, "magicubes")
    lines = [
        _("{items} with {model}: {calls}, {cost}.").format(
            items=plan.items, model=plan.model, calls=amount(plan.calls, "calls"), cost=cost
        )
    ]
    if plan.fits:
        lines.append(_("All of it fits into today."))
    elif plan.days is None:
        lines.append(_("Nothing of it can be done."))
    else:
        lines.append(
            _(
                "{fits_today} fit into today, then {a_day} a day: {days} days, done on {done_on}."
            ).format(
                fits_today=plan.fits_today,
                a_day=plan.a_day,
                days=plan.days,
                done_on=plan.done_on or "?",
            )
        )
    if plan.kind == "estimated":
        lines.append(
            _(
                "The allowance is the published rule's, not this account's: "
                "`modelscope-adapters quota --refresh` asks for the true one."
            )
        )
    return lines
