"""The local service: a socket, a token, what was asked, and the scenarios that wait."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from email.utils import formatdate
from types import TracebackType

from modelscope_transport.emulator.answers import Answer, Raw, Reply, Stream
from modelscope_transport.emulator.calls import Call
from modelscope_transport.emulator.catalogue import Model, catalogue
from modelscope_transport.emulator.engine import Engine
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.inference import Backend
from modelscope_transport.emulator.language import translated as _
from modelscope_transport.emulator.quota import Allowance, Meter
from modelscope_transport.emulator.routes import ANY_PAGE, CALLS, find_route, preflight
from modelscope_transport.emulator.scenarios import find
from modelscope_transport.emulator.scenarios.kinds import Scenario
from modelscope_transport.emulator.scripted.engine import ScriptedEngine
from modelscope_transport.emulator.server import Request, Server


class LocalService:
    """A service on this machine that speaks the protocol of ModelScope API-Inference.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`::

        with LocalService(allowance=Allowance(calls_per_day=20)) as service:
            client = Client(base_url=service.base_url, api_key=service.token)

    Args:
        models: Models beside the built-in ones; one with the same id replaces the built-in one.
        allowance: What may be spent, or its text form (``"calls=20,per-model=5"``). None does not
            limit.
        engine: Finds the words; None takes the engine of rules.
        scenario: A misbehaviour for every paid request, by name, or an answer for all of them.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        token: The only token that is taken; None takes any of a known form.
        on_call: Called with each request that was answered, on the service's own thread.
        clock: Gives the time in seconds since the epoch. The allowance's day follows it, and every
            reply has it as its date.

    Attributes:
        requests: What has arrived, in order.
        token: A token that the service takes; made up anew for each instance and each
            :meth:`reset`, unless one was given.
        meter: What is spent.

    Raises:
        ValueError: An allowance or a scenario that is not understood.
    """

    def __init__(
        self,
        models: Iterable[Model] | None = None,
        allowance: Allowance | str | None = None,
        engine: Engine | None = None,
        scenario: str | Answer | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        on_call: Callable[[Call], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(allowance, str):
            allowance = Allowance.parse(allowance)
        self.models = catalogue(models or ())
        self.meter = Meter(allowance or Allowance(), clock)
        self.requests: list[Request] = []
        self._only, self._on_call = token, on_call
        self.token = token or f"ms-{uuid.uuid4()}"
        self._answered = 0
        self._backend = Backend(self.models, self.meter, engine or ScriptedEngine(), clock)
        self._standing = find(scenario or "honest")
        self._queue: deque[Scenario] = deque()
        self._place = host, port
        self._clock = clock
        self._server: Server | None = None

    # --- life

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address cannot be bound.
        """
        if self._server is None:
            server = Server(self._dated, *self._place, self._clock)
            server.start()
            self._server = server

    def stop(self) -> None:
        """Close every connection and the socket; what was recorded stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> LocalService:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def root_url(self) -> str:
        """Where the service listens, without a path: ``http://127.0.0.1:PORT``."""
        if self._server is None:
            raise RuntimeError(
                _("the local service is not running: use it in a with statement, or call start()")
            )
        host = self._server.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}"

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL: ``http://127.0.0.1:PORT/v1``."""
        return f"{self.root_url}/v1"

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._server.connections) if self._server else 0

    # --- what tests steer

    def next(self, *scenarios: str | Answer) -> None:
        """Give the next paid requests these scenarios, one each, in order.

        Args:
            scenarios: Names (``"throttled"``, ``"cut:3"``), or answers to give word for word.

        Raises:
            ValueError: There is no such name.
        """
        self._queue.extend([find(each) for each in scenarios])

    def reset(self) -> None:
        """Forget the requests, the scenarios that wait, and what was spent.

        The token is a new one too, because clients remember which token's allowance is spent.
        """
        self.token = self._only or f"ms-{uuid.uuid4()}"
        self._backend.calls.clear()
        self.requests.clear()
        self._queue.clear()
        self._backend.tasks.clear()
        self.meter.reset()

    async def _dated(self, request: Request) -> Answer:
        """The answer, with the time by the service's clock as its date."""
        token = self.token
        answer = await self._answer(request)
        if token == self.token:  # else the request came before a reset
            self._record(request, answer)
        if isinstance(answer, Raw):
            return answer
        date = formatdate(self._clock(), usegmt=True)
        return replace(answer, headers={"date": date, **ANY_PAGE, **answer.headers})

    def _record(self, request: Request, answer: Answer) -> None:
        if request.path == CALLS:
            return
        route = find_route(request)
        asked = request.body.get("model") if isinstance(request.body, dict) else None
        model = self.models.get(str(asked)) if route is not None and route.paid else None
        self._answered += 1
        call = Call.of(self._answered, request, answer, model, self.meter.left())
        self._backend.calls.append(call)
        if self._on_call is not None:
            self._on_call(call)

    async def _answer(self, request: Request) -> Answer:
        """Check a request's route and token, then let its scenario or its endpoint answer."""
        if request.path != CALLS:
            self.requests.append(request)
        if request.method == "OPTIONS":
            return preflight()
        route = find_route(request)
        if route is None:
            return refuse("not_found")
        if route.refusal is not None and not route.admits(request, self._only):
            return route.refusal()  # before the body is looked at, as the real service does
        if not route.paid:
            return await route.handle(self._backend, request)
        scenario = self._queue.popleft() if self._queue else self._standing
        answer = await scenario.play(request, lambda: route.handle(self._backend, request))
        asked = request.body.get("model") if isinstance(request.body, dict) else None
        model = self.models.get(str(asked))
        if model is not None and isinstance(answer, Reply | Stream):
            answer = replace(answer, headers={**self.meter.headers(model), **answer.headers})
        return answer
