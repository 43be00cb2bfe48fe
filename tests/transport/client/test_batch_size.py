"""How many texts one embedding request holds: the model's number, the caller's, or a lesson."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modelscope_transport import Client, EmbeddingRequest, InvalidRequestError
from modelscope_transport.emulator import LocalService

TEXTS = tuple(f"text {number}" for number in range(45))


@pytest.fixture
def service() -> Iterator[LocalService]:
    with LocalService() as service:
        yield service


def sizes(service: LocalService) -> list[int]:
    return [len(request.body["input"]) for request in service.requests]


def embed(service: LocalService, batch_size: int | None) -> None:
    client = Client(service.token, base_url=service.base_url)
    request = EmbeddingRequest(
        model="Qwen/Qwen3-Embedding-0.6B", texts=TEXTS, batch_size=batch_size
    )
    assert len(client.embed(request).vectors) == len(TEXTS)


@pytest.mark.parametrize(
    ("batch_size", "expected"), [(None, [20, 20, 5]), (45, [45]), (30, [30, 15]), (44, [44, 1])]
)
def test_the_callers_number_goes_before_the_models(
    service: LocalService, batch_size: int | None, expected: list[int]
) -> None:
    embed(service, batch_size)
    assert sizes(service) == expected


def test_what_the_service_taught_goes_before_the_callers(service: LocalService) -> None:
    service.next("batch_limit:30")
    embed(service, 45)
    assert sizes(service) == [45, 22, 22, 1]

    service.requests.clear()
    embed(service, 45)  # no second refusal
    assert sizes(service) == [22, 22, 1]


def test_no_texts_at_a_time_are_refused(service: LocalService) -> None:
    with pytest.raises(InvalidRequestError, match="batch_size must be at least 1"):
        embed(service, 0)
    assert service.requests == []
