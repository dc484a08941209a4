"""LiteLLM in this process, isolated: in a thread and an event loop of its own, reached over a private socket.

No other package knows LiteLLM. It is imported in the engine's thread, and not before `Engine.start`.
"""

from claude_gatewayd.worker.engine.engine import Engine, EngineFailed
from claude_gatewayd.worker.engine.settings import EngineSettings

__all__ = ["Engine", "EngineFailed", "EngineSettings"]
