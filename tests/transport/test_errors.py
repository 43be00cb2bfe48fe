"""Errors: what any code may do with one, wherever it has come from."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport import ChatChoice, ChatResult, errors
from modelscope_transport.errors import (
    APIConnectionError,
    APIStatusError,
    ErrorDetails,
    InvalidRequestError,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
)

ROOT = Path(__file__).resolve().parents[2]


def _tree(root: type[ModelScopeError]) -> Iterator[type[ModelScopeError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:  # the adapters have children of their own
            yield from _tree(child)


CLASSES = list(dict.fromkeys(_tree(ModelScopeError)))
EACH = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
DETAILS = ErrorDetails(
    reason="model_spent",
    status_code=429,
    code="c",
    request_id="r",
    model="some/model",
    server_message="no",
    headers={"x-request-id": "r"},
    retry_after=2.5,
    scope="model",
    limit=200,
    remaining=0,
    unit="calls",
    resets_at=dt.datetime(2026, 10, 7, tzinfo=dt.UTC),
    alternatives=("other/model",),
    attempts=3,
    partial=ChatResult((ChatChoice("so far"),)),
)


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    drawn = errors.__doc__ or ""
    depth = {ModelScopeError: 0}
    for kind in CLASSES[1:]:
        parent = kind.__bases__[0]
        assert issubclass(parent, ModelScopeError)
        depth[kind] = depth[parent] + 1
        line = next(line for line in drawn.splitlines() if f"- {kind.__name__} " in f"{line} ")
        assert line.index(kind.__name__) == 4 + 3 * depth[kind]


def test_every_class_is_offered() -> None:
    assert {kind.__name__ for kind in CLASSES} | {"ErrorDetails"} == set(errors.__all__)


@EACH
def test_a_class_derives_from_no_built_in_but_exception(kind: type[ModelScopeError]) -> None:
    # Frameworks read a ValueError, an AttributeError or a RuntimeError in their own way.
    builtins = [base for base in kind.__mro__ if base.__module__ == "builtins"]
    assert builtins == [Exception, BaseException, object]


@EACH
def test_an_error_is_rebuilt_from_one_text(kind: type[ModelScopeError]) -> None:
    error = kind("what happened")
    assert error.args == ("what happened",)
    assert error.details == ErrorDetails()
    assert (error.status_code, error.request_id, error.model, error.reason) == (None,) * 4
    assert str(kind()) == ""


@EACH
def test_an_error_travels_with_its_details(kind: type[ModelScopeError]) -> None:
    error = kind("what happened", details=DETAILS)
    error.add_note("on the third page")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.details == DETAILS
        assert twin.__notes__ == ["on the third page"]


@EACH
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_message_names_its_section_of_the_page(
    kind: type[ModelScopeError], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_LANG", language)
    message = str(kind("What happened."))
    place = re.search(r"docs/troubleshooting(?:\.zh)?\.md#\w+", message)
    assert message.startswith("What happened.")
    assert place is not None
    page, _, anchor = place[0].partition("#")
    text = (ROOT / page).read_text(encoding="utf-8")
    anchors = {head.lower() for head in re.findall(r"^### `?(\w+)`?$", text, re.M)}
    assert anchor == kind.__name__.lower()
    assert anchor in anchors
    assert page.endswith(".zh.md") == (language == "zh")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_message_ends_once_before_its_section(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_LANG", language)
    stop = "。" if language == "zh" else ". "
    assert str(ModelScopeError("busy")).startswith(f"busy{stop}")
    assert str(ModelScopeError("忙。")).startswith("忙。" if language == "zh" else "忙。 ")


def test_a_message_names_a_section_once() -> None:
    first = QuotaExceededError("Spent.")
    again = ModelScopeError(str(first), details=first.details)
    assert str(again) == str(first)


def test_details_read_as_attributes() -> None:
    error = ModelScopeError("x", details=DETAILS)
    assert (error.status_code, error.request_id) == (429, "r")
    assert (error.model, error.reason) == ("some/model", "model_spent")
    spent = QuotaExceededError("x", details=DETAILS)
    assert (spent.scope, spent.limit, spent.remaining) == ("model", 200, 0)
    assert (spent.resets_at, spent.alternatives) == (DETAILS.resets_at, ("other/model",))
    assert RateLimitError("x", details=DETAILS).retry_after == 2.5
    assert StreamInterruptedError("x", details=DETAILS).partial is DETAILS.partial


def test_who_waits_a_moment_does_not_wait_for_a_spent_allowance() -> None:
    assert not issubclass(QuotaExceededError, RateLimitError | APIStatusError)


def test_what_was_never_answered_is_no_refusal() -> None:
    assert not issubclass(APIConnectionError, APIStatusError)
    assert issubclass(InvalidRequestError, APIStatusError)
