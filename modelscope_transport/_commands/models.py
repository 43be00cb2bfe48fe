"""``models``: which there are, what they do and cost, whether they are served."""

from __future__ import annotations

import argparse

from ..catalogue.cache import cache_path
from ..catalogue.models import (
    ModelProfile,
    ModelStatus,
    known_models,
    profile_for,
)
from ..client.sync import Client
from ..jobs.refresh_models import refresh_models
from .output import (
    add_connection,
    add_json,
    amount,
    anonymous,
    pick,
    show,
    tell_json,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[list | show ID | refresh]",
        help=pick(
            "list them (default), show one, or ask for all prices and tasks and keep them (free)",
            "列出模型（默认）、查看一个，或查询并保存所有价格与任务（免费）",
        ),
    )
    parser.add_argument("--task", metavar="TASK", help=pick("only of this task", "只看该任务"))
    parser.add_argument(
        "--listed",
        action="store_true",
        help=pick("only what the service lists now", "只看服务当前列出的"),
    )
    parser.add_argument(
        "--refresh",
        action="store_true",
        help=pick("ask for every price first (free, takes a while)", "先查询所有价格（免费）"),
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
        print(pick(f"Say one of: {said}.", f"用法：{said}。"))
        return 2
    if arguments.refresh:
        refresh_models(client)
    listed = client.models()
    names = listed if arguments.listed else sorted({*listed, *known_models()})
    profiles = [profile_for(name) for name in names]
    if arguments.task:
        profiles = [profile for profile in profiles if profile.task == arguments.task]
    if arguments.json:
        tell_json([_facts(profile, profile.id in listed) for profile in profiles])
        return 0
    head = ("ID", pick("task", "任务"), pick("price class", "价格档"), pick("window", "上下文"))
    rows = [
        (*_row(profile), pick("listed", "已列出") if profile.id in listed else "")
        for profile in profiles
    ]
    show(
        pick(
            f"{len(rows)} models, {len(listed)} listed",
            f"{len(rows)} 个模型，列出 {len(listed)} 个",
        ),
        (*head, pick("service", "服务")),
        rows,
    )
    return 0


def _refresh(client: Client, *, as_json: bool) -> int:
    found = refresh_models(client)
    if as_json:
        tell_json(found)
        return 0
    told = [
        (pick("listed", "已列出"), len(found.listed)),
        (pick("served", "提供服务"), len(found.served)),
        (pick("gone", "已下线"), ", ".join(found.gone)),
        (pick("new", "新模型"), ", ".join(f"{id} ({task})" for id, task in found.new.items())),
        (pick("no answer", "无应答"), ", ".join(found.unanswered)),
    ]
    print("\n".join(f"{name}: {fact}" for name, fact in told if fact not in ("", 0)))
    print(pick(f"Kept in {cache_path()}", f"已保存到 {cache_path()}"))
    return 0


def _row(profile: ModelProfile) -> tuple[str, ...]:
    window = f"{profile.context_window:,}" if profile.context_window else ""
    return profile.id, profile.task, profile.tier or "?", window


def _facts(profile: ModelProfile, listed: bool) -> dict[str, object]:
    return {
        "id": profile.id,
        "task": profile.task,
        "tier": profile.tier,
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
        print("\n".join([f"{model}: {_served(status)}", *_lines(status, profile)]))
    return 0 if status.served else 1


def _served(status: ModelStatus) -> str:
    if status.served:
        return pick("served", "提供服务")
    if status.withdrawn:
        return pick("withdrawn: it was served once", "已下线")
    if status.served is None:
        return pick("unknown to the service", "服务不认识这个 ID")
    return pick("not served", "不提供服务")


def _lines(status: ModelStatus, profile: ModelProfile) -> list[str]:
    facts = {
        pick("price", "价格"): f"{amount(status.magicubes, 'magicubes')} ({status.tier})"
        if status.magicubes is not None
        else None,
        pick("task", "任务"): profile.task,
        pick("context window", "上下文长度"): profile.context_window,
        pick("longest answer", "最长回答"): profile.max_output_tokens,
        pick("thinking", "思考"): profile.thinking,
        pick("calls functions", "函数调用"): pick("yes", "是")
        if profile.task == "chat" and profile.tool_calling
        else None,
        pick("takes", "输入"): ", ".join(profile.inputs or ()) or None,
        pick("vector length", "向量维数"): profile.dimensions,
        pick("other platforms", "其他平台"): ", ".join(status.providers) or None,
        pick("perhaps", "也许是"): ", ".join(status.near) or None,
        pick("known from", "来源"): profile.source and f"{profile.source} ({profile.checked})",
    }
    yes = {True: pick("yes", "是"), False: None}
    told = {
        name: yes.get(fact, fact) if isinstance(fact, bool) else fact
        for name, fact in facts.items()
    }
    return [f"  {name}: {fact}" for name, fact in told.items() if fact not in (None, "")]
