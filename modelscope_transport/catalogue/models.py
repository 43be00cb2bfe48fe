"""What each model can do: dated data, looked up, never guessed from digits in a name.

Adding a model is one table in ``data/models.toml``. A model that is not there works: it is taken
to chat and to call functions, and what it cannot do is learnt once from the service's own refusal
(`ProfileBook.learn`) and remembered for the process.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import threading
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

import msgspec
from msgspec import Struct

from .._forks import begin_anew_in_child
from . import cache as model_cache

__all__ = [
    "ModelProfile",
    "ModelStatus",
    "ProfileBook",
    "known_models",
    "near_names",
    "profile_for",
    "remember_models",
    "similar_models",
]


class ModelProfile(Struct, frozen=True, kw_only=True):
    """What one model can do. The defaults are those of a model that is not described.

    Attributes:
        id: model ID, ``owner/name``.
        task: name of its task in ``data/tasks.toml``: ModelScope's own, or the kind of work.
        described: whether the task is known, and not merely the one that most models do.
        context_window: longest conversation in tokens, or ``None``.
        max_output_tokens: longest answer in tokens, or ``None``.
        tool_calling: whether it calls functions.
        thinking: ``"none"``; ``"hybrid"``: can be switched; ``"always"``; ``None``: not known.
        thinking_switch: how a hybrid model is switched: a field ``enable_thinking`` of the
            request, or the same inside ``chat_template_kwargs``, or ``"both"``.
        send_reasoning: whether it wants the thoughts back that led to its tool calls.
        forced_tools: whether ``tool_choice`` ``"required"`` or a name works as it is
            (``"yes"``), only with thinking off (``"without_thinking"``) or not at all (``"no"``).
        stream_only: whether it refuses a call that is not streamed.
        stream_usage: whether it accepts the wish for token usage in streams.
        structured_output: the strongest form it keeps: ``"json_schema"``, ``"json_object"`` or
            ``"function_calling"``; ``None``: not known.
        inputs: what a message may hold: ``"text"``, ``"image"``, ``"video"``, ``"audio"``.
        fixed_temperature: the only temperature it accepts, or ``None``.
        dimensions: length of an embedding model's vectors.
        embedding_batch: most texts in one embedding request.
        image_sides: shortest and longest side of the images it draws, in pixels.
        image_references: most images it starts from; 0 where it takes none.
        tier: price class, by the service's own name: ``"lite"``, ``"standard"``, ``"ultra"`` …
        source: where these facts come from.
        checked: date of the facts, ISO.
    """

    id: str
    task: str = "chat"
    described: bool = False
    context_window: int | None = None
    max_output_tokens: int | None = None
    tool_calling: bool = True
    thinking: Literal["none", "hybrid", "always"] | None = None
    thinking_switch: Literal["enable_thinking", "chat_template_kwargs", "both"] = "enable_thinking"
    send_reasoning: bool = False
    forced_tools: Literal["yes", "without_thinking", "no"] | None = None
    stream_only: bool = False
    stream_usage: bool = True
    structured_output: Literal["json_schema", "json_object", "function_calling"] | None = None
    inputs: tuple[str, ...] | None = None
    fixed_temperature: float | None = None
    dimensions: int | None = None
    # 20 texts in one request are on record as working (2026-04-06); the true limit is not known.
    embedding_batch: int = 20
    image_sides: tuple[int, int] | None = None
    image_references: int | None = None
    tier: str | None = None
    source: str | None = None
    checked: str | None = None


# msgspec inspects a class at its first use, without a lock: two threads that do so at once crash
# the process (msgspec 0.22 on CPython 3.11). So it is done here, at import, in one thread.
msgspec.json.Decoder(ModelProfile)


class ModelStatus(Struct, frozen=True, kw_only=True):
    """What the service says of a model now.

    Attributes:
        id: model ID.
        served: whether API-Inference serves it; ``None`` where the service knows no such ID (it
            answers so to a failure of its own too).
        withdrawn: whether it was served once, by this package's records, and is not any more.
        tier: price class, by the service's own name: ``"lite"``, ``"standard"``, ``"ultra"`` …
        magicubes: price of one call.
        providers: other platforms that serve it under ``owner/name:Provider``, for a key of one's
            own there.
        near: known IDs that look like this one, where it is not known.
        task: what it does, by this package's records.
    """

    id: str
    served: bool | None
    withdrawn: bool = False
    tier: str | None = None
    magicubes: float | None = None
    providers: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    task: str = "chat"


# Read now, because at the first call it may be that no file can be opened any more; parsed then.
_TEXT = (
    resources.files("modelscope_transport").joinpath("data/models.toml").read_text(encoding="utf-8")
)


@functools.cache
def _catalogue() -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    data = tomllib.loads(_TEXT)
    return data.get("models", {}), data.get("families", [])


def known_models() -> tuple[str, ...]:
    """IDs of the models in ``data/models.toml``, sorted."""
    return tuple(sorted(_catalogue()[0]))


@functools.lru_cache(maxsize=1024)
def profile_for(model: str) -> ModelProfile:
    """Profile of a model: its own table over what the hub said over its families' tables.

    ``owner/name:Provider`` has the profile of ``owner/name`` unless it has a table of its own. A
    price that was looked up counts more than one in a table: it is newer.
    """
    models, families = _catalogue()
    name = model if model in models else model.rpartition(":")[0] or model
    facts: dict[str, Any] = {}
    described = False
    for family in families:
        if fnmatch.fnmatchcase(name, family["pattern"]):
            described = True
            facts |= {key: value for key, value in family.items() if key != "pattern"}
    seen = model_cache.read().get(name, {})
    facts |= {**seen, **models.get(name, {})}
    facts["tier"] = seen.get("tier") or facts.get("tier")
    # A table without a task is that of a chat model; what was looked up may be a price alone.
    facts["described"] = described or name in models or "task" in seen
    try:
        return msgspec.convert({**facts, "id": model}, ModelProfile)
    except msgspec.ValidationError:  # the cache is damaged, or of another version
        table = models.get(name, {})
        return msgspec.convert({**table, "id": model, "described": bool(table)}, ModelProfile)


def remember_models(facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what the service or its hub said of models, for this user and all later processes.

    Args:
        facts: fields of `ModelProfile` by model ID; ``source`` and ``checked`` among them.
    """
    model_cache.remember(facts)
    profile_for.cache_clear()


def near_names(model: str) -> tuple[str, ...]:
    """Up to three known IDs that look like a misspelt one, best first."""
    wanted = model.lower()
    by_lower = {known.lower(): known for known in (*model_cache.read(), *known_models())}
    by_name = {lower.rpartition("/")[2]: known for lower, known in by_lower.items()}
    near = difflib.get_close_matches(wanted, by_lower, n=3, cutoff=0.75)
    near_short = difflib.get_close_matches(wanted.rpartition("/")[2], by_name, n=3, cutoff=0.75)
    found = [by_lower[name] for name in near] + [by_name[name] for name in near_short]
    return tuple(dict.fromkeys(name for name in found if name != model))[:3]


def similar_models(model: str) -> tuple[str, ...]:
    """Up to three models that do the same work and were seen served most lately, cheaper first."""
    task = profile_for(model).task
    tiers = ("discount", "lite", "standard", "ultra")  # cheapest first
    found = [
        profile
        for profile in map(profile_for, known_models())
        if profile.task == task and profile.tier in tiers and profile.id != model
    ]
    found.sort(key=lambda profile: tiers.index(profile.tier or "ultra"))
    found.sort(key=lambda profile: profile.checked or "", reverse=True)
    return tuple(profile.id for profile in found[:3])


class ProfileBook:
    """Profiles as one account has come to know them: the catalogue plus what refusals taught."""

    def __init__(self) -> None:
        """Start with the catalogue alone."""
        self._learnt: dict[str, ModelProfile] = {}
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """In a forked child: another thread of the parent may hold the lock."""
        self._lock = threading.Lock()

    def look_up(self, model: str) -> ModelProfile:
        """The profile to use for the next request."""
        return self._learnt.get(model) or profile_for(model)

    def learn(self, model: str, **facts: Any) -> None:
        """Remember what a reply taught."""
        with self._lock:
            self._learnt[model] = msgspec.structs.replace(self.look_up(model), **facts)
