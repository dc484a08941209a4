"""What a person is told, and how: notices, each once per transition, over generations and restarts."""

from claude_gatewayd.worker.notices.notice import Rules
from claude_gatewayd.worker.notices.notifier import Messenger, Warner
from claude_gatewayd.worker.notices.store import Kept

__all__ = ["Kept", "Messenger", "Rules", "Warner"]
