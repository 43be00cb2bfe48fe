"""The engine without a model: it plays the rules by which the local service answers."""

from modelscope_transport.emulator.scripted.engine import ScriptedEngine

__all__ = ["ScriptedEngine"]
