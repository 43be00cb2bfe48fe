"""Values that come unchecked, since LangChain passes call arguments on as they are."""

from __future__ import annotations

from typing import Any

import pytest

from modelscope_transport._wire.checks import check_range
from modelscope_transport.errors import InvalidRequestError


@pytest.mark.parametrize("value", ["hot", "0.5", [1], {}], ids=repr)
def test_what_is_no_number_is_refused_in_a_sentence(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="temperature must be between 0 and 2"):
        check_range("temperature", value, 0, 2)


@pytest.mark.parametrize("value", [None, 0, 0.5, 2])
def test_numbers_in_range_pass(value: Any) -> None:
    check_range("temperature", value, 0, 2)
