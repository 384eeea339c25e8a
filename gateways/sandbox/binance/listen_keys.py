"""Keys of private streams (Binance, USDⓈ-M Futures: "User Data Streams").

An account has one at a time. It is valid for 60 minutes from when it was last asked for or kept; then the streams that
use it are told ``listenKeyExpired`` and carry no more events, though the connection stays.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import choice
from string import ascii_letters, digits
from typing import Final

from gateways.sandbox.accounts import Account
from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.clock import Timers

VALID_MS: Final = 60 * 60 * 1000
LENGTH: Final = 64


class ListenKeys:
    """The listen keys of all accounts.

    Parameters
    ----------
    expired
        Called with a key that is no longer valid.
    """

    def __init__(self, timers: Timers, expired: Callable[[str], None]) -> None:
        self._timers = timers
        self._expired = expired
        self._keys: dict[int, str] = {}

    def start(self, account: Account) -> str:
        """The account's key, a new one where it has none."""
        if account.number not in self._keys:
            self._keys[account.number] = "".join(choice(ascii_letters + digits) for _ in range(LENGTH))
        return self.keep(account)

    def keep(self, account: Account) -> str:
        """The account's key, valid for another 60 minutes; raises ``ApiError`` when it has none."""
        key = self._keys.get(account.number)
        if key is None:
            raise ApiError(Error.NO_LISTEN_KEY)
        self._timers.set(("listen key", account.number), VALID_MS, lambda: self.expire(account))
        return key

    def close(self, account: Account) -> None:
        """Give the key up, and end what uses it."""
        self.keep(account)
        self.expire(account)

    def expire(self, account: Account) -> None:
        """Make the account's key invalid now; nothing when it has none."""
        self._timers.set(("listen key", account.number), 0, _nothing)
        key = self._keys.pop(account.number, None)
        if key is not None:
            self._expired(key)

    def is_valid(self, key: str) -> bool:
        """Whether a key is somebody's."""
        return key in self._keys.values()

    def of(self, account: Account) -> str | None:
        """The account's key, if it has one."""
        return self._keys.get(account.number)


def _nothing() -> None:
    """What a timer that is put out would do."""
