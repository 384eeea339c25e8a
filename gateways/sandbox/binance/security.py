"""Who asks: keys, signatures and time (Binance, USDⓈ-M Futures: "General Info", SIGNED Endpoint Security).

A signed request carries an HMAC-SHA256, in hex, over its query string and its body as they were sent, one behind the
other, without the ``signature`` itself; ``timestamp`` must be at most ``recvWindow`` ms old, and less than a second
ahead.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from gateways.sandbox.binance.errors import ApiError, Error

DEFAULT_WINDOW_MS: Final = 5000
MAX_WINDOW_MS: Final = 60_000
AHEAD_MS: Final = 1000
"""How far a request may be ahead of the exchange's clock."""

_KEY: Final = re.compile(r"[A-Za-z0-9]{64}")
_SIGNATURE: Final = re.compile(r"(?:^|&)signature=([^&]*)")


class Sent(NamedTuple):
    """The parameters of a request: as they were sent, and by name."""

    query: str
    body: str

    @property
    def parameters(self) -> dict[str, str]:
        """By name; one that is in both is the query's ("General Info")."""
        return {
            name: value
            for text in (self.body, self.query)
            for name, value in parse_qsl(text, keep_blank_values=True)
            if name != "signature"
        }


def owner_of(key: str | None, known: Mapping[str, str]) -> str:
    """The key of a request, when it is one of ``known``; raises ``ApiError``."""
    if key is None or not _KEY.fullmatch(key):
        raise ApiError(Error.BAD_KEY_FORMAT)
    if key not in known:
        raise ApiError(Error.BAD_KEY)
    return key


def check_signature(sent: Sent, secret: str) -> None:
    """Raise ``ApiError`` unless the request is signed with ``secret``."""
    given = _SIGNATURE.search(sent.body) or _SIGNATURE.search(sent.query)
    if given is None:
        raise ApiError(Error.MISSING_PARAMETER, "signature")
    payload = "".join(_SIGNATURE.sub("", text) for text in (sent.query, sent.body))
    made = hmac.new(secret.encode(), payload.encode(), sha256).hexdigest()
    if not hmac.compare_digest(made.encode(), given[1].lower().encode()):
        raise ApiError(Error.BAD_SIGNATURE)


def check_time(parameters: Mapping[str, str], now_ms: int) -> None:
    """Raise ``ApiError`` unless the request is of now."""
    timestamp_ms = _whole(parameters, "timestamp")
    window_ms = _whole(parameters, "recvWindow") if "recvWindow" in parameters else DEFAULT_WINDOW_MS
    if window_ms > MAX_WINDOW_MS:
        raise ApiError(Error.BAD_PARAMETER, "recvWindow")
    if timestamp_ms >= now_ms + AHEAD_MS:
        raise ApiError(Error.AHEAD_OF_SERVER)
    if now_ms - timestamp_ms > window_ms:
        raise ApiError(Error.OUTSIDE_WINDOW)


def _whole(parameters: Mapping[str, str], name: str) -> int:
    text = parameters.get(name, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ApiError(Error.MISSING_PARAMETER, name)
    return int(text)
