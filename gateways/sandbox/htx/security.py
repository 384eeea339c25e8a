"""Who asks: keys, signatures and time ("Authentication", of spot and of contracts).

A private request carries ``AccessKeyId``, ``SignatureMethod``, ``SignatureVersion``, ``Timestamp`` and ``Signature``
in its query, whatever its method. The signature is the base64 of an HMAC-SHA256 over method, host, path and the other
parameters of the query in the order of their names, a line each; a body is not signed. Streams are signed alike, as a
GET of their path.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

from gateways.sandbox.htx.errors import ApiError, Error

WINDOW_MS: Final = 300_000
"""A request is taken when its time, which is in whole seconds, is at most so far from the exchange's
("Authentication": a time is valid within 5 minutes)."""

NAMES: Final = ("AccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp")
"""What is signed besides the parameters of a request."""


def signature(secret: str, method: str, host: str, path: str, parameters: Mapping[str, str]) -> str:
    """What a request with these parameters must be signed with."""
    query = "&".join(f"{name}={quote(parameters[name], safe='')}" for name in sorted(parameters))
    made = hmac.new(secret.encode(), f"{method}\n{host}\n{path}\n{query}".encode(), sha256)
    return b64encode(made.digest()).decode()


class Words(NamedTuple):
    """What key, time and signature are called."""

    key: str = "AccessKeyId"
    time: str = "Timestamp"
    signature: str = "Signature"


FIRST: Final = Words()
SECOND: Final = Words("accessKey", "timestamp", "signature")
"""Of spot's private streams."""


def owner_of(
    method: str,
    host: str,
    path: str,
    given: Mapping[str, str],
    secrets: Mapping[str, str],
    now_ms: int,
    words: Words = FIRST,
) -> str:
    """The key of a request that is signed with the secret of one of ``secrets``; raises ``ApiError``."""
    key = given.get(words.key, "")
    if key not in secrets:
        raise ApiError(Error.BAD_KEY)
    check_time(given.get(words.time, ""), now_ms)
    signed = {name: value for name, value in given.items() if name != words.signature}
    made = signature(secrets[key], method, host, path, signed)
    if not hmac.compare_digest(made.encode(), given.get(words.signature, "").encode()):
        raise ApiError(Error.BAD_SIGNATURE)
    return key


def check_time(timestamp: str, now_ms: int) -> None:
    """A time such as ``2017-05-11T15:19:30``, of UTC; raises ``ApiError``."""
    try:
        sent_ms = round(datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise ApiError(Error.BAD_TIME) from None
    if abs(sent_ms - now_ms) > WINDOW_MS:
        raise ApiError(Error.BAD_TIME)
