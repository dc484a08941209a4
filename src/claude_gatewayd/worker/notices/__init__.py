"""What a person is told, and how: notices, each once per transition, over generations and restarts."""

from claude_gatewayd.notices.kept import Kept
from claude_gatewayd.notices.notice import Rules
from claude_gatewayd.notices.warner import Messenger, Warner

__all__ = ["Kept", "Messenger", "Rules", "Warner"]
