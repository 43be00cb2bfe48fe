"""What random input has found, kept as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from modelscope_transport._wire import chat, embeddings
from modelscope_transport._wire.outcomes import Failure, read_failure
from tests.fuzz.readers import READERS

ODD_KINDS = [0.05, 10**40, True, ["a"], {"a": 1}]


@pytest.mark.parametrize("kind", ODD_KINDS, ids=repr)
def test_an_error_whose_type_is_no_text_is_still_an_error(kind: Any) -> None:
    for error in ({"type": kind}, {"type": kind, "message": "busy", "code": []}):
        body = json.dumps({"error": error}).encode()
        assert isinstance(chat.decode(body), Failure)
        assert isinstance(chat.ChatDecoder().feed(body), Failure)
        assert isinstance(embeddings.decode(body, count=1), Failure)
        assert isinstance(read_failure(body), Failure)


@pytest.mark.parametrize("field", ["detail", "message", "code", "Message"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_an_error_that_is_no_text_is_still_an_error(
    read: Callable[[bytes], Any], field: str
) -> None:
    # An answer's own fields are read first, and what stands beside them is skipped unread.
    failure = read(b'{"%s":"Requ\xe1est timed out."}' % field.encode())
    assert isinstance(failure, Failure)
    assert failure.unreadable
