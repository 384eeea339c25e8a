"""The venue's refusals: HTTP status, code and words (Binance, USDⓈ-M Futures: "Error Code" and "General Info").

Words in braces are filled in. Where the exchange says more than its page, the words are those that ccxt's table of
errors quotes from answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Final


class Error(Enum):
    """One refusal: status of the answer, code, text."""

    TIMEOUT = (
        408,
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    )
    TOO_MANY_REQUESTS = (
        429,
        -1003,
        "Too many requests; current limit is {} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API.",
    )
    BANNED = (
        418,
        -1003,
        "Way too many requests; IP banned until {}. Please use the websocket for live updates to avoid bans.",
    )
    BUSY = (503, -1008, "Server is currently overloaded with other requests. Please try again in a few minutes.")
    MAINTENANCE = (503, 1, "System is under maintenance.")
    UNKNOWN_STATE = (503, -1000, "Unknown error, please check your request or try again later.")
    TOO_MANY_ORDERS = (429, -1015, "Too many new orders; current limit is {} orders per {}.")
    NOT_SUPPORTED = (400, -1020, "This operation is not supported.")
    OUTSIDE_WINDOW = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    AHEAD_OF_SERVER = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    BAD_SIGNATURE = (400, -1022, "Signature for this request is not valid.")
    SUBSCRIBED_ALREADY = (400, -2035, "User Data Stream subscription already active.")
    UNKNOWN_PATH = (404, -1000, "An unknown error occured while processing the request.")
    MISSING_PARAMETER = (400, -1102, "Mandatory parameter '{}' was not sent, was empty/null, or malformed.")
    MISSING_EITHER = (400, -1102, "Param '{}' or '{}' must be sent, but both were empty/null!")
    NOT_REQUIRED = (400, -1106, "Parameter '{}' sent when not required.")
    BAD_PRECISION = (400, -1111, "Precision is over the maximum defined for this asset.")
    BAD_TIME_IN_FORCE = (400, -1115, "Invalid timeInForce.")
    BAD_TYPE = (400, -1116, "Invalid orderType.")
    BAD_SIDE = (400, -1117, "Invalid side.")
    BAD_SYMBOL = (400, -1121, "Invalid symbol.")
    NO_LISTEN_KEY = (400, -1125, "This listenKey does not exist.")
    BAD_COMBINATION = (400, -1128, "Combination of optional parameters invalid.")
    BAD_PARAMETER = (400, -1130, "Data sent for parameter '{}' is not valid.")
    UNKNOWN_ORDER = (400, -2011, "Unknown order sent.")
    NO_ORDER = (400, -2013, "Order does not exist.")
    BAD_KEY_FORMAT = (401, -2014, "API-key format invalid.")
    BAD_KEY = (401, -2015, "Invalid API-key, IP, or permissions for action.")
    NO_MARGIN = (400, -2019, "Margin is insufficient.")
    WOULD_TRIGGER = (400, -2021, "Order would immediately trigger.")
    REDUCE_ONLY = (400, -2022, "ReduceOnly Order is rejected.")
    TOO_MANY_OPEN = (400, -2025, "Reach max open order limit.")
    PRICE_NOT_POSITIVE = (400, -4001, "Price less than 0.")
    PRICE_ABOVE_MAX = (400, -4002, "Price greater than max price.")
    QTY_NOT_POSITIVE = (400, -4003, "Quantity less than or equal to zero.")
    QTY_BELOW_MIN = (400, -4004, "Quantity less than min quantity.")
    QTY_ABOVE_MAX = (400, -4005, "Quantity greater than max quantity.")
    PRICE_BELOW_MIN = (400, -4013, "Price less than min price.")
    OFF_TICK = (400, -4014, "Price not increased by tick size.")
    BAD_CLIENT_ID = (400, -4015, "Client order id is not valid.")
    ABOVE_CAP = (400, -4016, "Limit price can't be higher than {}.")
    OFF_STEP = (400, -4023, "Quantity not increased by step size.")
    BELOW_FLOOR = (400, -4024, "Limit price can't be lower than {}.")
    BAD_LEVERAGE = (400, -4028, "Leverage {} is not valid")
    SAME_MARGIN_TYPE = (400, -4046, "No need to change margin type.")
    SAME_POSITION_MODE = (400, -4059, "No need to change position side.")
    BAD_POSITION_SIDE = (400, -4061, "Order's position side does not match user's setting.")
    BATCH_TOO_LONG = (400, -4082, "Invalid number of batch place orders.")
    BAD_PAIR = (400, -4087, "Invalid pair.")
    DUPLICATE_CLIENT_ID = (400, -4116, "ClientOrderId is duplicated.")
    USE_ALGO_API = (
        400,
        -4120,
        "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    )
    BELOW_NOTIONAL = (400, -4164, "Order's notional must be no smaller than {} (unless you choose reduce only).")
    SAME_ASSET_MODE = (400, -4171, "No need to change to multi-assets mode.")
    NOT_FILLED_AT_ONCE = (
        400,
        -5021,
        "Due to the order could not be filled immediately, the FOK order has been rejected. "
        "The order will not be recorded in the order history",
    )
    WOULD_TAKE = (
        400,
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected. "
        "The order will not be recorded in the order history",
    )
    ONLY_LIMIT = (400, -5025, "Only limit order is supported.")
    TOO_MANY_AMENDS = (400, -5026, "Exceed maximum modify order limit.")
    TOO_MANY_STOPS = (400, -4045, "Reach max stop order limit.")
    AMEND_ADDS = (400, -2038, "Order amend (quantity increase) is not supported.")
    NOTHING_TO_AMEND = (400, -5027, "No need to modify the order.")


Words = Mapping[Error, tuple[int, int, str]]
"""Status, code and text of refusals."""


class ApiError(Exception):
    """A request is refused.

    Parameters
    ----------
    error
        Which refusal.
    values
        What is filled into its text.
    words
        Status, code and text of those that another of the exchange's markets says otherwise.
    retry_after_s
        What the ``Retry-After`` header says; None: it is not sent.
    """

    def __init__(
        self, error: Error, *values: object, retry_after_s: int | None = None, words: Words | None = None
    ) -> None:
        self.status, self.code, text = (words or {}).get(error, error.value)
        self.error = error
        self.text = text.format(*values)
        self.retry_after_s = retry_after_s
        self._values = values
        super().__init__(f"{self.code} {self.text}")

    def in_words(self, words: Words) -> ApiError:
        """The same refusal as another of the exchange's markets says it."""
        return ApiError(self.error, *self._values, retry_after_s=self.retry_after_s, words=words)

    @property
    def body(self) -> dict[str, int | str]:
        """The answer's JSON."""
        return {"code": self.code, "msg": self.text}


HTML_PAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>{status} {words}</title></head>"
    "<body><center><h1>{status} {words}</h1></center><hr><center>nginx</center></body></html>\n"
)


def html_page(status: HTTPStatus) -> str:
    """What a proxy before the exchange answers when it does not reach it ("General Info": 403 and 5XX are not ours)."""
    return HTML_PAGE.format(status=status.value, words=status.phrase)
