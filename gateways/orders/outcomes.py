"""What the outcome of a request means: a table of ccxt's exceptions, finer by the venue's own error codes.

What is in no table is unknown: it is asked about, never guessed. A request that never left, because there was no
connection, was not accepted; but for one that the HTTP client may have sent before over a connection that broke (it
sends DELETE and PUT again by itself) that is unknown too.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

import aiohttp
import ccxt

from gateways.venues import without_query
from oms.records import Reason


class Verdict(Enum):
    """What became of a request."""

    REFUSED = auto()
    """The exchange did not take it, and says why."""
    NOT_ACCEPTED = auto()
    """It was not looked at: too many requests, maintenance, no connection. The venue pauses."""
    UNKNOWN = auto()
    """It may have been done, or may still be: ask."""
    DUPLICATE = auto()
    """An order of that client order id is there already: ask for it."""
    GONE = auto()
    """There is no such open order: it has ended, by an earlier try too, or never was. Ask."""
    UNCHANGED = auto()
    """The order is as it was asked to be already, by an earlier try too. Ask."""
    HALT = auto()
    """The keys are refused: nothing is sent any more until somebody has seen to it."""
    RESYNC = auto()
    """It was refused for its time: set the clock anew."""


class Outcome(NamedTuple):
    """What became of a request that was not answered with success.

    Attributes
    ----------
    code : int
        The venue's; 0: none was told.
    """

    verdict: Verdict
    reason: Reason
    code: int
    text: str


Code = tuple[Verdict, Reason]
"""What an error code of a venue means."""

Codes = Mapping[int | str, Code]
"""What a venue's error codes mean, and words of its messages where a code stands for several things: those go first."""

TABLE: Final[dict[type[BaseException], Code]] = {
    ccxt.InsufficientFunds: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    ccxt.InvalidOrder: (Verdict.REFUSED, Reason.EXCHANGE_REFUSED),
    ccxt.DuplicateOrderId: (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    ccxt.OrderImmediatelyFillable: (Verdict.REFUSED, Reason.POST_ONLY_WOULD_CROSS),
    ccxt.OrderNotFillable: (Verdict.REFUSED, Reason.NO_LIQUIDITY),
    ccxt.OrderNotFound: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    ccxt.BadRequest: (Verdict.REFUSED, Reason.EXCHANGE_REFUSED),
    ccxt.BadSymbol: (Verdict.REFUSED, Reason.UNKNOWN_INSTRUMENT),
    ccxt.ArgumentsRequired: (Verdict.REFUSED, Reason.BAD_COMMAND),
    ccxt.NotSupported: (Verdict.REFUSED, Reason.BAD_COMMAND),
    ccxt.OperationRejected: (Verdict.REFUSED, Reason.EXCHANGE_REFUSED),
    ccxt.PermissionDenied: (Verdict.REFUSED, Reason.EXCHANGE_REFUSED),
    ccxt.AuthenticationError: (Verdict.HALT, Reason.KEYS_REFUSED),
    ccxt.InvalidNonce: (Verdict.RESYNC, Reason.EXCHANGE_UNAVAILABLE),
    ccxt.RateLimitExceeded: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    ccxt.DDoSProtection: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    ccxt.OnMaintenance: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
}
"""By the class of the exception, or the nearest of those that it is derived from; no other: UNKNOWN."""

UNKNOWN: Final[Code] = (Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE)
CODED: Final[Code] = (Verdict.REFUSED, Reason.EXCHANGE_REFUSED)
"""A bare ``ExchangeError`` that carries a code: the exchange has looked at the request, and refused it."""

NO_ANSWER: Final = (ccxt.BaseError, aiohttp.ClientError, OSError)
OTHER_ANSWER: Final = (TypeError, LookupError)
"""An answer that is not the one that was asked for: a busy exchange may say so with success and no data."""
REQUEST_ERRORS: Final = (*NO_ANSWER, *OTHER_ANSWER, ValueError)
"""What a request through ccxt can end in; ``TimeoutError`` is an ``OSError``."""

MOST_TEXT: Final = 300
"""Characters of an exception that are logged."""

_NEVER_CONNECTED: Final = (aiohttp.ClientConnectorError, socket.gaierror, ConnectionRefusedError)
_CODES: Final = (
    re.compile(r'"sCode"\s*:\s*"?(\d+)'),
    re.compile(r'"code"\s*:\s*"?(-?\d+)'),
    re.compile(r'"err_code"\s*:\s*"?(\d+)'),
)
"""Of one order of a request where the venue tells that apart (OKX), else of the request; HTX has two names for it."""


def outcome_of(error: BaseException, codes: Codes, *, sent_once: bool) -> Outcome:
    """What an exception means for the request that raised it.

    Parameters
    ----------
    codes
        The venue's error codes, and words, that say more than the exception's class.
    sent_once
        False for a request that the HTTP client may have sent more than once.
    """
    text = told_text(error)
    if sent_once and isinstance(error.__cause__, _NEVER_CONNECTED):
        return Outcome(Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE, 0, text)
    found = next((match for pattern in _CODES if (match := pattern.search(str(error)))), None)
    code = int(found[1]) if found else 0
    worded = next((each for each in codes if isinstance(each, str) and each in str(error)), "")
    if worded:
        return Outcome(*codes[worded], code, text)
    if code in codes:
        return Outcome(*codes[code], code, text)
    if type(error) is ccxt.ExchangeError and code:
        return Outcome(*CODED, code, text)
    known = next((TABLE[each] for each in type(error).__mro__ if each in TABLE), UNKNOWN)
    return Outcome(*known, code, text)


def told_text(error: BaseException) -> str:
    """An exception for the log: one line, without the parameters and the signature of a request."""
    return f"{type(error).__name__}: {without_query(error)[:MOST_TEXT]}"
