"""``models``: which there are, what they do and cost, whether they are served."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection

from ..catalogue.cache import cache_path
from ..catalogue.models import (
    ModelProfile,
    ModelStatus,
    known_models,
    profile_for,
)
from ..catalogue.tasks import task_named
from ..client.sync import Client
from ..jobs.refresh_models import Refreshed, refresh_models
from ..language import marked as _N
from ..language import translated as _
from ..quota.allowance import price_in_tenths
from .output import (
    add_connection,
    add_json,
    amount,
    anonymous,
    say,
    show,
    tell_json,
    terminal,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[list | show ID | refresh]",
        help=_(
            "list them (default), show one, or ask for all prices and tasks and keep them (free)"
        ),
    )
    parser.add_argument("--task", metavar="TASK", help=_("only of this task"))
    parser.add_argument(
        "--search", metavar="WORD", help=_("only IDs that hold this word, in any case")
    )
    parser.add_argument(
        "--listed",
        action="store_true",
        help=_("only what the service lists now"),
    )
    parser.add_argument(
        "--refresh",
        action="store_true",
        help=_("ask for every price first (free, takes a while)"),
    )
    add_connection(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """List models or show one; 1 when it is not served."""
    client = anonymous(arguments)
    words = arguments.words or ["list"]
    if words[0] == "show" and len(words) == 2:
        return _show(client, words[1], as_json=arguments.json)
    if words == ["refresh"]:
        return _refresh(client, as_json=arguments.json)
    if words != ["list"]:
        said = "`models`, `models show ID`, `models refresh`"
        print(_("Say one of: {said}.").format(said=said), file=sys.stderr)
        return 2
    if arguments.refresh:
        _refreshed(client)
    listed = client.models()
    names = listed if arguments.listed else {*listed, *known_models()}
    profiles = [profile_for(name) for name in names]
    if arguments.task:
        profiles = [profile for profile in profiles if profile.task == arguments.task]
        if not profiles:
            task_named(arguments.task)  # a misspelt one is an error, with those like it
    if arguments.search:
        wanted = arguments.search.lower()
        profiles = [profile for profile in profiles if wanted in profile.id.lower()]
    profiles.sort(key=lambda profile: _order(profile, listed))
    if arguments.json:
        tell_json([_facts(profile, profile.id in listed) for profile in profiles])
        return 0
    head = ("ID", _("task"), _("Magicubes a call"), _("window"))
    rows = [(*_row(profile), _("listed") if profile.id in listed else "") for profile in profiles]
    show(
        _("{count} models, {count2} listed").format(
            count=len(rows), count2=sum(profile.id in listed for profile in profiles)
        ),
        (*head, _("service")),
        rows,
    )
    return 0


def _refresh(client: Client, *, as_json: bool) -> int:
    found = _refreshed(client)
    if as_json:
        tell_json(found)
        return 0
    told = [
        (_("listed"), len(found.listed)),
        (_("served"), len(found.served)),
        (_("gone"), ", ".join(found.gone)),
        (_("new"), ", ".join(f"{id} ({task})" for id, task in found.new.items())),
        (_("no answer"), ", ".join(found.unanswered)),
    ]
    line = _("{name}: {fact}")
    print(
        "\n".join(line.format(name=name, fact=fact) for name, fact in told if fact not in ("", 0))
    )
    print(_("Kept in {cache_path}").format(cache_path=cache_path()))
    return 0


def _refreshed(client: Client) -> Refreshed:
    """Ask for everything, with a bar at a terminal and a line for each tenth in a pipe."""
    from rich.progress import Progress

    said = _("asking for prices and tasks")
    bar = Progress(console=terminal(sys.stderr), transient=True)
    bar.disable = not sys.stderr.isatty()
    task, tenths = bar.add_task(said), 0

    def on_progress(done: int, total: int) -> None:
        nonlocal tenths
        bar.update(task, completed=done, total=total)
        if bar.disable and 10 * done // total > tenths:
            tenths = 10 * done // total
            line = _("{name}: {fact}").format(name=said, fact=f"{done}/{total}")
            print(line, file=sys.stderr, flush=True)

    with bar:
        return refresh_models(client, on_progress=on_progress)


def _row(profile: ModelProfile) -> tuple[str, ...]:
    window = f"{profile.context_window:,}" if profile.context_window else ""
    return profile.id, profile.task, amount(_price(profile)), window


def _price(profile: ModelProfile) -> float | None:
    tenths = price_in_tenths(profile.tier)
    return None if tenths is None else tenths / 10


def _order(profile: ModelProfile, listed: Collection[str]) -> tuple[bool, str, float, str]:
    """Sorts what is listed first, then by task, then by price."""
    price = _price(profile)
    known = math.inf if price is None else price
    return profile.id not in listed, profile.task, known, profile.id


def _facts(profile: ModelProfile, listed: bool) -> dict[str, object]:
    return {
        "id": profile.id,
        "task": profile.task,
        "tier": profile.tier,
        "magicubes": _price(profile),
        "context_window": profile.context_window,
        "listed": listed,
        "checked": profile.checked,
    }


def _show(client: Client, model: str, *, as_json: bool) -> int:
    status = client.model_status(model)
    profile = client.profile(model)
    if as_json:
        tell_json({"status": status, "profile": profile})
    else:
        head = _("{name}: {fact}").format(name=model, fact=_served(status))
        for line in (head, *_lines(status, profile)):
            say(line)
    return 0 if status.served else 1


def _served(status: ModelStatus) -> str:
    if status.served:
        return _("served")
    if status.withdrawn:
        return _("withdrawn: it was served once")
    if status.served is None:
        return _("unknown to the service")
    return _("not served")


_THINKING = {"none": _N("none"), "hybrid": _N("hybrid"), "always": _N("always")}


def _lines(status: ModelStatus, profile: ModelProfile) -> list[str]:
    # An unknown model is assumed to chat and to call functions, which is not worth showing.
    guessed = status.served is None and profile.id not in known_models()
    calls = profile.task == "chat" and profile.tool_calling and not guessed
    facts = {
        _("price"): _("{price} ({tier})").format(
            price=amount(status.magicubes, "magicubes"), tier=status.tier
        )
        if status.magicubes is not None
        else None,
        _("task"): None if guessed else profile.task,
        _("context window"): profile.context_window,
        _("longest answer"): profile.max_output_tokens,
        _("thinking"): profile.thinking and _(_THINKING[profile.thinking]),
        _("calls functions"): _("yes") if calls else None,
        _("takes"): ", ".join(profile.inputs or ()) or None,
        _("vector length"): profile.dimensions,
        _("other platforms"): ", ".join(status.providers) or None,
        _("perhaps"): ", ".join(status.near) or None,
        _("known from"): profile.source
        and _("{source} ({checked})").format(source=profile.source, checked=profile.checked),
    }
    line = _("  {name}: {fact}")
    return [
        line.format(name=name, fact=fact) for name, fact in facts.items() if fact not in (None, "")
    ]
