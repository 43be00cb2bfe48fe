"""A local service that speaks the protocol of ModelScope API-Inference over a real socket.

For the tests, notebooks and demonstrations of everybody who builds on the service: no token, no
allowance, no network, and every failure on request. It is an island: standard library only, and
nothing else of this project, so that a protocol misread on one side cannot cancel out on the other.

    with LocalService() as service:
        print(service.base_url, service.token)
        service.next("throttled", "cut:3")

The words come from an engine: :class:`ScriptedEngine` follows rules and needs no model;
:class:`UpstreamEngine` asks any OpenAI-compatible server.
"""

from modelscope_transport.emulator.answers import DONE, Pause, Raw, Reply, Reset, Stream
from modelscope_transport.emulator.catalogue import MODELS, Model
from modelscope_transport.emulator.engine import Engine
from modelscope_transport.emulator.quota import Allowance
from modelscope_transport.emulator.scenarios import SCENARIOS
from modelscope_transport.emulator.scripted.engine import ScriptedEngine
from modelscope_transport.emulator.server import Request
from modelscope_transport.emulator.service import LocalService
from modelscope_transport.emulator.upstream import UpstreamEngine

__all__ = [
    "DONE",
    "MODELS",
    "SCENARIOS",
    "Allowance",
    "Engine",
    "LocalService",
    "Model",
    "Pause",
    "Raw",
    "Reply",
    "Request",
    "Reset",
    "ScriptedEngine",
    "Stream",
    "UpstreamEngine",
]
