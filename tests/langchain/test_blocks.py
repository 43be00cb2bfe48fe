"""Content blocks: the same, whichever way an answer comes."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from modelscope_transport.emulator import LocalService, Reply
from tests.langchain import mixed
from tests.langchain.conftest import MakeChat

# LangChain warns of every use of the third version of its events, which is in beta
pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)


def blocks(message: BaseMessage) -> list[dict[str, Any]]:
    """Content blocks without the numbers that streams give them."""
    return [
        {key: value for key, value in block.items() if key != "index"}
        for block in message.content_blocks
    ]


def total(chunks: list[AIMessageChunk]) -> AIMessage:
    whole: Any = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
class TestMixed:
    """Thoughts, text and two parallel tool calls in one answer."""

    def test_invoke(
        self, chat: MakeChat, service: LocalService, version: str, together: bool
    ) -> None:
        service.next(mixed.reply())
        self.check(chat(output_version=version).invoke("Weather?"), version)

    async def test_ainvoke(
        self, chat: MakeChat, service: LocalService, version: str, together: bool
    ) -> None:
        service.next(mixed.reply())
        self.check(await chat(output_version=version).ainvoke("Weather?"), version)

    def test_stream(
        self, chat: MakeChat, service: LocalService, version: str, together: bool
    ) -> None:
        service.next(mixed.stream(together=together))
        chunks = list(chat(output_version=version).stream("Weather?"))

        assert all(chunk.content or chunk.response_metadata for chunk in chunks)
        self.check(total(chunks), version)

    async def test_astream(
        self, chat: MakeChat, service: LocalService, version: str, together: bool
    ) -> None:
        service.next(mixed.stream(together=together))
        model = chat(output_version=version)
        self.check(total([chunk async for chunk in model.astream("Weather?")]), version)

    def test_an_invoke_that_streams(
        self, chat: MakeChat, service: LocalService, version: str, together: bool
    ) -> None:
        service.next(mixed.stream(together=together))
        self.check(chat(output_version=version, streaming=True).invoke("Weather?"), version)

    def test_events_v3(
        self, chat: MakeChat, service: LocalService, version: str, together: bool
    ) -> None:
        service.next(mixed.stream(together=together))
        stream = chat(output_version=version).stream_events("Weather?", version="v3")
        list(stream)
        message = stream.output
        assert blocks(message) == mixed.BLOCKS
        self.check_calls(message)

    async def test_aevents_v3(
        self, chat: MakeChat, service: LocalService, version: str, together: bool
    ) -> None:
        service.next(mixed.stream(together=together))
        stream = await chat(output_version=version).astream_events("Weather?", version="v3")
        message = await stream.output
        assert blocks(message) == mixed.BLOCKS
        self.check_calls(message)

    def check(self, message: AIMessage, version: str) -> None:
        assert blocks(message) == mixed.BLOCKS
        assert isinstance(message.content, str if version == "v0" else list)
        assert message.additional_kwargs["reasoning_content"] == "".join(mixed.THOUGHTS)
        assert message.text == "".join(mixed.TEXT)
        self.check_calls(message)
        assert message.response_metadata["finish_reason"] == "tool_calls"

    def check_calls(self, message: AIMessage) -> None:
        assert [(call["id"], call["name"], call["args"]) for call in message.tool_calls] == [
            (id_, name, args) for id_, name, _, args in mixed.CALLS
        ]
        assert message.usage_metadata == {
            "input_tokens": 34,
            "output_tokens": 26,
            "total_tokens": 60,
        }
        assert message.response_metadata["model_provider"] == "modelscope"


def test_the_environment_chooses_the_version(
    chat: MakeChat, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_OUTPUT_VERSION", "v1")
    service.next(mixed.reply(), mixed.stream())
    assert blocks(chat().invoke("Weather?")) == mixed.BLOCKS
    assert isinstance(total(list(chat().stream("Weather?"))).content, list)


def test_blocks_of_a_stream_keep_their_own_index(chat: MakeChat, service: LocalService) -> None:
    service.next(mixed.stream())
    chunks = list(chat(output_version="v1").stream("Weather?"))

    indices = {
        (block["type"], block["index"]) for chunk in chunks for block in chunk.content_blocks
    }
    assert indices == {
        ("reasoning", "lc_rs_0"),
        ("text", "lc_txt_0"),
        ("tool_call_chunk", "lc_tc_0"),
        ("tool_call_chunk", "lc_tc_1"),
    }


@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
def test_a_refusal_is_a_block(chat: MakeChat, service: LocalService, streamed: bool) -> None:
    model = chat()
    if streamed:
        service.next(
            type(mixed.stream())([mixed.chunk(refusal="No."), mixed.chunk("stop"), "[DONE]"])
        )
        message: AIMessage = total(list(model.stream("Hello")))
    else:
        choice = {"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}
        service.next(Reply(200, {"choices": [choice]}))
        message = model.invoke("Hello")

    assert blocks(message) == [{"type": "refusal", "refusal": "No."}]
    assert message.additional_kwargs["refusal"] == "No."


def test_an_edited_message_still_has_its_blocks() -> None:
    message = AIMessage(
        [{"type": "text", "text": "Edited."}], response_metadata={"model_provider": "modelscope"}
    )
    assert message.content_blocks == [{"type": "text", "text": "Edited."}]
