"""The table of features in benchmarks/, as far as it is about us: every row is right."""

from __future__ import annotations

import pytest

from benchmarks import feature_rows, service_rows
from benchmarks.features import ROWS, Side
from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings
from modelscope_transport.emulator import LocalService

assert feature_rows
assert service_rows


# LangChain warns of every use of the third version of its events, which is in beta
@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_right(service: LocalService, name: str) -> None:
    right, words = ROWS[name](Side(service, ChatModelScope, ModelScopeEmbeddings))
    assert right, words
