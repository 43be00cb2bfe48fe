"""A stage on which flows are played by hand: no socket, no sleep, no chance."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from modelscope_transport import ChatRequest, EmbeddingRequest, Message, ModelScopeError
from modelscope_transport._wire.encoded import Encoded
from modelscope_transport._wire.outcomes import Outcome
from modelscope_transport.calls.attempt import Attempt, Flow, Handover, Terms
from modelscope_transport.calls.policy import call_flow
from modelscope_transport.calls.retry import RetryBudget, RetryPolicy
from modelscope_transport.catalogue.models import ProfileBook
from modelscope_transport.catalogue.tasks import TASKS

MODEL = "some/model"


class Played(Struct):
    """What a call did: its attempts, and its end."""

    attempts: list[Attempt]
    end: Handover | ModelScopeError

    @property
    def delays(self) -> list[float]:
        return [attempt.delay for attempt in self.attempts]

    @property
    def models(self) -> list[str]:
        return [attempt.model for attempt in self.attempts]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(attempt.body) for attempt in self.attempts]

    @property
    def handover(self) -> Handover:
        assert isinstance(self.end, Handover), self.end
        return self.end

    @property
    def error(self) -> ModelScopeError:
        assert isinstance(self.end, ModelScopeError), self.end
        return self.end


class Stage(Struct, kw_only=True):
    """What calls share, and how they are played. Chance says one half, time stands still."""

    book: ProfileBook = field(default_factory=ProfileBook)
    policy: RetryPolicy = RetryPolicy()
    budget: RetryBudget = field(default_factory=RetryBudget)
    deadline: float = 600.0
    looks: dict[str, Encoded] = {}

    def play(
        self,
        *outcomes: Outcome,
        stream: bool = False,
        times: Iterable[float] = itertools.repeat(0.0),
        **request: Any,
    ) -> Played:
        asked = {"model": MODEL, "messages": (Message("user", "1+1?"),), **request}
        return self.play_request(ChatRequest(**asked), *outcomes, stream=stream, times=times)

    def play_request(
        self,
        request: ChatRequest | EmbeddingRequest,
        *outcomes: Outcome,
        stream: bool = False,
        times: Iterable[float] = itertools.repeat(0.0),
    ) -> Played:
        flow = self.flow(request, stream=stream, times=times)
        attempts = []
        to_come = iter(outcomes)
        try:
            attempt = next(flow)
            while True:
                attempts.append(attempt)
                attempt = flow.send(next(to_come))
        except StopIteration as stop:
            end: Handover | ModelScopeError = stop.value
        except ModelScopeError as error:
            end = error
        assert not list(to_come), "the call ended before all outcomes were played"
        return Played(attempts, end)

    def flow(
        self,
        request: ChatRequest | EmbeddingRequest,
        *,
        stream: bool = False,
        times: Iterable[float] = itertools.repeat(0.0),
    ) -> Flow:
        clock = iter(times)
        return call_flow(
            TASKS["chat" if isinstance(request, ChatRequest) else "embedding"],
            request,
            Terms(
                deadline=self.deadline,
                policy=self.policy,
                book=self.book,
                budget=self.budget,
                clock=lambda: next(clock),
                chance=lambda: 0.5,
                looks=self.looks,
            ),
            stream=stream,
        )
