"""LiteLLM in this process, behind a wall: a thread and a loop of its own, spoken to over a private socket.

The only room that knows LiteLLM. It is loaded in the engine's thread, when `Engine.start` says so, and never before.
"""

from claude_gatewayd.worker.engine.engine import Engine, EngineFailed
from claude_gatewayd.worker.engine.settings import EngineSettings

__all__ = ["Engine", "EngineFailed", "EngineSettings"]
