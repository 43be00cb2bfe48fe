"""How a stream ends on the wire: its finish mark and its token usage, each of them once."""

from __future__ import annotations

from modelscope_transport._wire.chat import ChatDecoder
from modelscope_transport.answers import ChatDelta, Usage


def test_a_dummy_is_not_taken_for_the_usage() -> None:
    # every chunk carries one (recorded 2026-10), and nobody asked for the chunk with the true one
    decoder = ChatDecoder()
    decoder.feed(
        b'{"id":"1","choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":34,"completion_tokens":0,"total_tokens":34}}'
    )

    assert decoder.finish() is None


def test_a_second_finish_mark_is_no_news() -> None:
    decoder = ChatDecoder()
    finish = b'{"id":"1","choices":[{"delta":{},"finish_reason":"stop"}]}'
    first = decoder.feed(finish)

    assert isinstance(first, ChatDelta)
    assert first.finish_reason == "stop"
    assert decoder.feed(finish) is None


def test_a_usage_without_a_token_of_the_answer_counts_where_the_true_one_comes() -> None:
    decoder = ChatDecoder()
    decoder.feed(b'{"id":"1","choices":[{"delta":{},"finish_reason":"stop"}]}')
    decoder.feed(b'{"choices":[],"usage":{"prompt_tokens":34,"completion_tokens":0}}')
    last = decoder.finish()

    assert last is not None
    assert last.usage == Usage(34, 0, 34)


def test_a_true_usage_is_not_replaced_by_a_dummy_after_it() -> None:
    decoder = ChatDecoder()
    decoder.feed(b'{"id":"1","choices":[{"delta":{},"finish_reason":"stop"}]}')
    decoder.feed(b'{"choices":[],"usage":{"prompt_tokens":34,"completion_tokens":5}}')
    decoder.feed(b'{"choices":[],"usage":{"prompt_tokens":34,"completion_tokens":0}}')
    last = decoder.finish()

    assert last is not None
    assert last.usage == Usage(34, 5, 39)
