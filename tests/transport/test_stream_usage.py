"""The token usage of a stream, where every chunk carries a dummy (recorded 2026-10)."""

from __future__ import annotations

from modelscope_transport._wire.chat import ChatDecoder


def test_a_dummy_is_not_taken_for_the_usage() -> None:
    decoder = ChatDecoder()
    decoder.feed(
        b'{"id":"1","choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":34,"completion_tokens":0,"total_tokens":34}}'
    )

    # nobody asked for the chunk with the true numbers
    assert decoder.finish() is None
