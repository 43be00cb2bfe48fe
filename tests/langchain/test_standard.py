"""LangChain's own test suites, on the local service and, when asked, on the live one.

A pass on the local service shows that the protocol is kept; it says nothing of a model's wits.
The live classes exist only with a token in ``LIVE_TOKEN``, because they spend its allowance::

    LIVE_TOKEN="$MODELSCOPE_API_KEY" python -m pytest tests/langchain/test_standard.py -k Live
"""

from __future__ import annotations

import base64
import os
from typing import Any

import httpx
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    EmbeddingsIntegrationTests,
)
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings
from modelscope_transport.emulator import LocalService, Reply

LIVE_TOKEN = os.environ.get("LIVE_TOKEN")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# ------------------------------------------------------------------------------------------ units


class TestChatModelScopeUnits(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatModelScope

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "Qwen/Qwen3-Coder-30B-A3B-Instruct", "api_key": "ms-test"}

    @property
    def model_override_value(self) -> str:
        return "Qwen/Qwen3-235B-A22B-Instruct-2507"

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        model = {"model": "Qwen/Qwen3-Coder-30B-A3B-Instruct"}
        return {"MODELSCOPE_API_KEY": "ms-test"}, model, {"api_key": "ms-test"}

    @pytest.mark.xfail(reason="load() in it trusts only the classes of LangChain's own packages")
    def test_serdes(self, model: BaseChatModel, snapshot: Any) -> None:
        super().test_serdes(model, snapshot)


class TestModelScopeEmbeddingsUnits(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return ModelScopeEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "Qwen/Qwen3-Embedding-0.6B", "api_key": "ms-test"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        model = {"model": "Qwen/Qwen3-Embedding-0.6B"}
        return {"MODELSCOPE_API_KEY": "ms-test"}, model, {"api_key": "ms-test"}


# ------------------------------------------------------------------------------------ integration


class _OnLocalService:
    """Where the suites find the service, and what they would download."""

    service: LocalService

    @pytest.fixture(autouse=True)
    def _on_local_service(self, service: LocalService, monkeypatch: pytest.MonkeyPatch) -> None:
        self.service = service
        picture = httpx.Response(200, content=PIXEL)
        monkeypatch.setattr(httpx, "get", lambda *args, **kwargs: picture)
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "nobody: nothing is downloaded")

    @property
    def place(self) -> dict[str, Any]:
        return {"base_url": self.service.base_url, "api_key": self.service.token}


class _Live:
    """Where the suites find the live service."""

    pytestmark = pytest.mark.enable_socket
    place = {"api_key": LIVE_TOKEN}  # noqa: RUF012 - never changed


class _ChatSuite(ChatModelIntegrationTests):
    place: dict[str, Any]
    tested = "Qwen/Qwen3.5-122B-A10B"  # it thinks, calls tools and sees

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatModelScope

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.tested, **self.place}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "Qwen/Qwen3.5-397B-A17B"

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:  # type: ignore[override]
        return {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        model = ChatModelScope(**self.chat_model_params)
        if not stream:
            return model.invoke("Why is the sky blue?")
        chunks = list(model.stream("Why is the sky blue?"))
        whole = chunks[0] + chunks[1:]
        assert isinstance(whole, AIMessageChunk)
        return whole


class TestChatModelScope(_OnLocalService, _ChatSuite):
    pass


class TestChatModelScopeStreamOnly(_OnLocalService, _ChatSuite):
    """The same on a model that refuses every call that is not streamed."""

    tested = "Qwen/QwQ-32B"

    @property
    def has_tool_choice(self) -> bool:
        return False  # it always thinks, so it cannot be forced

    @property
    def supports_image_inputs(self) -> bool:
        return False

    @property
    def supports_image_urls(self) -> bool:
        return False

    @property
    def supports_image_tool_message(self) -> bool:
        return False

    @property
    def model_override_value(self) -> str:
        return "Qwen/Qwen3-235B-A22B-Thinking-2507"


class TestChatModelScopeUnknown(_OnLocalService, _ChatSuite):
    """The same on a model of which nothing is known, so that sounds are sent as well."""

    tested = "nex-agi/Nex-N2.5-mini"

    @pytest.fixture(autouse=True)
    def _hears(self, service: LocalService, request: pytest.FixtureRequest) -> None:
        if request.node.name == "test_audio_inputs":  # the local service is deaf as well as blind
            heard = {"message": {"content": "A guitar."}, "finish_reason": "stop"}
            service.next(*[Reply(200, {"choices": [heard]})] * 2)

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return False

    @property
    def supports_image_urls(self) -> bool:
        return False

    @property
    def supports_image_tool_message(self) -> bool:
        return False

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:  # type: ignore[override]
        return {"invoke": [], "stream": []}


class _EmbeddingsSuite(EmbeddingsIntegrationTests):
    place: dict[str, Any]

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return ModelScopeEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "Qwen/Qwen3-Embedding-0.6B", **self.place}


class TestModelScopeEmbeddings(_OnLocalService, _EmbeddingsSuite):
    pass


if LIVE_TOKEN:

    class TestChatModelScopeLive(_Live, _ChatSuite):
        pass

    class TestModelScopeEmbeddingsLive(_Live, _EmbeddingsSuite):
        pass
