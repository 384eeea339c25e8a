"""What an account may ask about itself, at spot's host, whichever market it trades ("Get UID", "API key query")."""

from __future__ import annotations

from typing import Any, Final

from gateways.sandbox.accounts import Account
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call, Front, Route, second_answer
from gateways.sandbox.htx.limits import READ

FIRST_UID: Final = 573_242_943


def uid_of(account: Account) -> int:
    """An account's number there."""
    return FIRST_UID + account.number


def uid(_venue: Front[Any], call: Call) -> int:
    """ "Get UID"."""
    return uid_of(call.account)


def keys(venue: Front[Any], call: Call) -> list[dict[str, Any]]:
    """ "API key query"."""
    if call.given.text("uid") != str(uid_of(call.account)):
        raise ApiError(Error.BAD_PARAMETER, "uid")
    return [
        {
            "accessKey": call.key,
            "note": "sandbox",
            "permission": ",".join(name for name, may in venue.permissions.items() if may),
            "ipAddresses": venue.bound_to,
            "validDays": -1,
            "status": "normal",
            "createTime": 1_578_282_563_000,
            "updateTime": 1_578_282_563_000,
        }
    ]


ROUTES: Final[dict[tuple[str, str], Route]] = {
    ("GET", "/v2/user/uid"): Route(uid, READ, second_answer),
    ("GET", "/v2/user/api-key"): Route(keys, READ, second_answer),
}
