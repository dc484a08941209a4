"""What becomes of a request whose keys AWS rejects: it is asked again with other keys, as long as that may help."""

from typing import Final

from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keys import AwsKeys

_MOST_RETRIES: Final = 4


class KeyRejections:
    """Find other keys for one request, each time that AWS rejects those that it had.

    A renewal that began before the rejection may bring keys that were revoked with the rejected ones, and so may one
    that was forced: each is worth a try. That a renewal is forced for them again is limited by the keeper, for all
    requests together.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._left = _MOST_RETRIES

    async def has_other_keys(self, rejected: AwsKeys, message: str) -> bool:
        """Return whether to ask again, with the keeper's keys of now. *message* is AWS's.

        Raises KeysUnavailable if other keys would not help.
        """
        self._keeper.check_rejection(message)
        self._left -= 1
        return self._left >= 0 and await self._keeper.renew_after_rejection(rejected)
