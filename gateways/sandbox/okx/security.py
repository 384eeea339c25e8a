"""Who asks: keys, passphrases, signatures and time (OKX v5, "REST Authentication", "WebSocket Login").

A private request carries its key, its passphrase, a time and the base64 of an HMAC-SHA256 over time, method, path with
query, and body. A login on a private stream carries the same over ``GET/users/self/verify``, its time in seconds.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from gateways.credentials import Credentials
from gateways.sandbox.okx.errors import ApiError, Error

WINDOW_MS: Final = 30_000
"""A request is taken when its time is at most so far from the exchange's."""

LOGIN_PATH: Final = "/users/self/verify"


def signature(secret: str, timestamp: str, method: str, path: str, body: str = "") -> str:
    """What a request must be signed with."""
    made = hmac.new(secret.encode(), f"{timestamp}{method}{path}{body}".encode(), sha256)
    return b64encode(made.digest()).decode()


def owner_of(
    headers: Mapping[str, str], method: str, path: str, body: str, known: Mapping[str, Credentials], now_ms: int
) -> str:
    """The key of a request that is signed with one of ``known``; raises ``ApiError``."""
    names = {
        "KEY": Error.NO_KEY,
        "PASSPHRASE": Error.NO_PASSPHRASE,
        "SIGN": Error.NO_SIGNATURE,
        "TIMESTAMP": Error.NO_TIMESTAMP,
    }
    given: dict[str, str] = {}
    for name, missing in names.items():
        given[name] = headers.get(f"OK-ACCESS-{name}", "")
        if not given[name]:
            raise ApiError(missing)
    login = known.get(given["KEY"])
    if login is None:
        raise ApiError(Error.BAD_KEY)
    if abs(_ms(given["TIMESTAMP"]) - now_ms) > WINDOW_MS:
        raise ApiError(Error.EXPIRED)
    if not hmac.compare_digest(given["PASSPHRASE"].encode(), login.passphrase.encode()):
        raise ApiError(Error.BAD_PASSPHRASE)
    made = signature(login.secret, given["TIMESTAMP"], method, path, body)
    if not hmac.compare_digest(made.encode(), given["SIGN"].encode()):
        raise ApiError(Error.BAD_SIGNATURE)
    return login.key


def _ms(timestamp: str) -> int:
    """The time of a request, such as ``2020-12-08T09:08:57.715Z``."""
    try:
        return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except ValueError:
        raise ApiError(Error.BAD_TIMESTAMP) from None
