"""Refusals of the exchange: OKX v5, "Error Code", by code, text and HTTP status.

A request is refused as a whole by ``code``; what is refused of an order, or of one among several, stands in its row as
``sCode`` and ``sMsg``, and ``code`` then says only whether all of them (1) or some (2) failed.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

ALL_FAILED: Final = "1"
SOME_FAILED: Final = "2"
OVERALL: Final = {"0": "", ALL_FAILED: "All operations failed", SOME_FAILED: "Bulk operation partially succeeded"}


class Error(Enum):
    """HTTP status, code and text; ``{}`` is filled in."""

    BODY_EMPTY = (400, "50000", "Body for POST request cannot be empty.")
    MAINTENANCE = (503, "50001", "Service temporarily unavailable. Try again later")
    BAD_JSON = (400, "50002", "JSON syntax error")
    TIMED_OUT = (
        504,
        "50004",
        "API endpoint request timeout (does not mean that the request was successful or failed).",
    )
    TOO_MANY_REQUESTS = (429, "50011", "Too Many Requests")
    BUSY = (503, "50013", "Systems are busy. Please try again later.")
    MISSING_PARAMETER = (400, "50014", "Parameter {} can not be empty.")
    MISSING_EITHER = (400, "50015", "Either parameter {} or {} is required.")
    TOO_MANY_ORDERS = (429, "50061", "Sub-account rate limit exceeded")
    EXPIRED = (401, "50102", "Timestamp request expired")
    NO_KEY = (401, "50103", 'Request header "OK-ACCESS-KEY" can not be empty')
    NO_PASSPHRASE = (401, "50104", 'Request header "OK-ACCESS-PASSPHRASE" can not be empty')
    BAD_PASSPHRASE = (401, "50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect')
    NO_SIGNATURE = (401, "50106", 'Request header "OK-ACCESS-SIGN" can not be empty')
    NO_TIMESTAMP = (401, "50107", 'Request header "OK-ACCESS-TIMESTAMP" can not be empty')
    BAD_KEY = (401, "50111", "Invalid OK-ACCESS-KEY")
    BAD_TIMESTAMP = (401, "50112", "Invalid OK-ACCESS-TIMESTAMP")
    BAD_SIGNATURE = (401, "50113", "Invalid Sign")
    NO_PERMISSION = (403, "50120", "This API key doesn't have permission to use this function")
    UNKNOWN_PATH = (404, "404", "Not Found")
    BAD_PARAMETER = (200, "51000", "Parameter {} error")
    BAD_INSTRUMENT = (200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    EITHER_ID = (200, "51003", "Either client order ID or order ID is required")
    PRICE_LIMIT = (200, "51006", "Order price is not within the price limit (max buy price: {} min sell price: {})")
    NO_MARGIN = (200, "51008", "Order failed. Insufficient {} margin in account.")
    NO_BALANCE = (200, "51008", "Order failed. Insufficient {} balance in account.")
    BAD_MODE = (200, "51010", "You can't complete this request under your current account mode.")
    DUPLICATE = (200, "51016", "Client order ID already exists.")
    QTY_BELOW_MIN = (200, "51020", "Your order should meet or exceed the minimum order amount.")
    QTY_ABOVE_MAX = (200, "51101", "The maximum amount per order is {}.")
    OFF_LOT = (200, "51121", "Order quantity must be a multiple of the lot size.")
    BATCH_TOO_LONG = (200, "51111", "You can place up to {} orders at a time.")
    TOO_MUCH_AT_MARKET = (200, "51201", "The value of a market order can't exceed {}.")
    REDUCE_ONLY = (
        200,
        "51169",
        "Order failed because you don't have any positions in this direction for this contract to reduce or close.",
    )
    WOULD_TRIGGER = (200, "51280", "SL trigger price must be less than the last price")
    NOT_CANCELLED = (
        200,
        "51400",
        "Order cancellation failed as the order has been filled, canceled or does not exist.",
    )
    EITHER_TO_CANCEL = (200, "51407", "Either order ID or client order ID is required")
    NOTHING_TO_AMEND = (200, "51500", "You must enter a price, quantity, or TP/SL")
    NO_MARGIN_TO_AMEND = (200, "51502", "Order failed. Insufficient {} margin in account.")
    NO_ORDER_TO_AMEND = (200, "51503", "Your order has already been filled or canceled.")
    NOT_AMENDABLE = (200, "51506", "Order modification unavailable for the order type")
    AMENDED_POST_ONLY = (
        200,
        "51511",
        "Order modification failed as the price did not meet the requirement for Post Only",
    )
    NO_ORDER = (200, "51603", "Order does not exist")
    BAD_LEVERAGE = (200, "59102", "Leverage exceeds the maximum limit. Please lower the leverage.")


class ApiError(Exception):
    """A request, or one order of it, is refused.

    Parameters
    ----------
    error
        Which refusal.
    values
        What is filled into its text.
    """

    def __init__(self, error: Error, *values: object) -> None:
        self.status, self.code, text = error.value
        self.error = error
        self.text = text.format(*values)
        super().__init__(f"{self.code} {self.text}")

    @property
    def body(self) -> dict[str, Any]:
        """The answer of a request that is refused as a whole."""
        return {"code": self.code, "msg": self.text, "data": []}
