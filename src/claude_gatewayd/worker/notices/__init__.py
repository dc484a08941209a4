"""Notices to the person: which, when and how. Each is sent once per transition, over generations and restarts."""

from claude_gatewayd.worker.notices.notice import NoticeRules
from claude_gatewayd.worker.notices.notifier import Messenger, Notices
from claude_gatewayd.worker.notices.store import NoticeStore

__all__ = ["Messenger", "NoticeRules", "NoticeStore", "Notices"]
