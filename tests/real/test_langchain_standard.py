"""The chat integration suite of langchain-tests on a real model.

Where the model of half a billion parameters itself falls short, the test is marked with the reason;
everything else is the adapter's to answer for.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_modelscope import ChatModelScope
from modelscope_transport.emulator import LocalService

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


class TestChatModelScope(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _service(self, service: LocalService) -> None:
        self.service = service

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatModelScope

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "Qwen/Qwen3-Coder-30B-A3B-Instruct",
            "base_url": self.service.base_url,
            "api_key": self.service.token,
            "temperature": 0,
            "seed": 7,
            "max_tokens": 300,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "Qwen/Qwen3-235B-A22B-Instruct-2507"
