"""Refusals of the exchange, by code, text and HTTP status.

Sources: "Details of Each Error Code" of contracts, "Error Code" of spot, and answers that are quoted in the issues of
clients. What lies in front of an API (who asks, how often) and spot answer ``status`` and ``err_code`` or
``err-code``; contracts answer ``code`` and ``message``.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

NOT_VALID = "Signature not valid: "


class Shape(Enum):
    """How a refusal is written."""

    CONTRACT = "contract"
    FRONT = "front"
    """What lies in front of contracts."""
    SPOT = "spot"


class Error(Enum):
    """Shape, HTTP status, code and text; ``{}`` is filled in."""

    BAD_KEY = (Shape.FRONT, 200, 403, "Incorrect Access key [Access key错误]")
    BAD_SIGNATURE = (Shape.FRONT, 200, 403, "Verification failure [校验失败]")
    BAD_TIME = (
        Shape.FRONT,
        200,
        403,
        "Invalid submission time or incorrect time format [无效的提交时间]",
    )
    NO_PERMISSION = (Shape.FRONT, 200, 403, "API key has no permission [API Key没有权限]")
    TOO_MANY_REQUESTS = (Shape.FRONT, 429, 1032, "The number of access exceeded the limit.")
    UNKNOWN_PATH = (Shape.FRONT, 404, 404, "Not Found")
    MAINTENANCE = (Shape.FRONT, 503, 1001, "System is unprepared.")
    SYSTEM_ERROR = (Shape.CONTRACT, 200, 1000, "System error.")
    BUSY = (Shape.CONTRACT, 200, 1004, "System busy. Please try again later.")
    NO_CONTRACT = (Shape.CONTRACT, 200, 1014, "This contract doesn't exist.")
    NO_ORDER = (Shape.CONTRACT, 200, 1017, "Order doesn't exist.")
    BAD_JSON = (Shape.CONTRACT, 200, 1030, "Input error.")
    PRICE_PRECISION = (
        Shape.CONTRACT,
        200,
        1038,
        "The order price exceeds the precision limit, please modify and order again.",
    )
    PRICE_LIMIT = (Shape.CONTRACT, 200, 1039, "Buy price must be lower than {}USDT. Sell price must exceed {}USDT.")
    BAD_AMOUNT = (Shape.CONTRACT, 200, 1040, "Invalid amount, please modify and order again.")
    QTY_ABOVE_MAX = (
        Shape.CONTRACT,
        200,
        1041,
        "The order amount exceeds the limit ({}Cont), please modify and order again.",
    )
    NO_MARGIN = (Shape.CONTRACT, 200, 1047, "Insufficient margin available.")
    REDUCE_ONLY = (Shape.CONTRACT, 200, 1048, "Insufficient close amount available.")
    DUPLICATE = (Shape.CONTRACT, 200, 1050, "Customer's order number is repeated. Please try again later.")
    NOTHING_TO_CANCEL = (Shape.CONTRACT, 200, 1051, "No orders to cancel.")
    BATCH_TOO_LONG = (Shape.CONTRACT, 200, 1052, "The number exceeds the batch limit.")
    SUSPENDED = (Shape.CONTRACT, 200, 1058, "Your order can't be placed due to trade suspension.")
    NO_ORDER_TO_CANCEL = (Shape.CONTRACT, 200, 1061, "This order doesn't exist.")
    EXECUTED = (Shape.CONTRACT, 200, 1063, "The order has been executed.")
    MISSING_PARAMETER = (Shape.CONTRACT, 200, 1066, "The {} field cannot be empty. Please re-enter.")
    BAD_PARAMETER = (Shape.CONTRACT, 200, 1067, "The {} field is invalid. Please re-enter.")
    TRIGGER_FAILED = (
        Shape.CONTRACT,
        200,
        1085,
        "Trigger order failed, please modify the price and place the order again or contact the customer service.",
    )
    CANCELLED = (Shape.CONTRACT, 200, 1071, "Repeated cancellation. Your order has been canceled.")
    SPOT_BAD_KEY = (Shape.SPOT, 200, "api-signature-not-valid", f"{NOT_VALID}Incorrect Access key [Access key错误]")
    SPOT_BAD_SIGNATURE = (Shape.SPOT, 200, "api-signature-not-valid", f"{NOT_VALID}Verification failure [校验失败]")
    SPOT_BAD_TIME = (
        Shape.SPOT,
        200,
        "api-signature-not-valid",
        f"{NOT_VALID}Invalid submission time or incorrect time format [无效的提交时间]",
    )
    SPOT_NO_PERMISSION = (
        Shape.SPOT,
        200,
        "api-signature-not-valid",
        f"{NOT_VALID}API key has no permission [API Key没有权限]",
    )
    SPOT_TOO_MANY_REQUESTS = (
        Shape.SPOT,
        429,
        "base-request-exceed-frequency-limit",
        "Frequency of requests has exceeded the limit, please try again later",
    )
    SPOT_MAINTENANCE = (Shape.SPOT, 200, "system-maintenance", "System is in maintenance!")
    SPOT_BUSY = (Shape.SPOT, 503, "base-system-error", "System error, please try again later")
    SPOT_INTERNAL = (Shape.SPOT, 504, "gateway-internal-error", "Failed to load data. Try again later.")
    SPOT_BAD_REQUEST = (Shape.SPOT, 200, "bad-request", "Invalid request.")
    SPOT_MISSING = (Shape.SPOT, 200, "validation-constraints-required", "Field is missing: {}.")
    SPOT_FORMAT = (Shape.SPOT, 200, "validation-format-error", "Format Error: {}.")
    SPOT_NO_SYMBOL = (Shape.SPOT, 200, "base-symbol-error", "The symbol is invalid")
    SPOT_NO_ACCOUNT = (Shape.SPOT, 200, "account-get-accounts-inexistent-error", "account for id `{}` does not exist")
    SPOT_NO_RECORD = (Shape.SPOT, 200, "base-record-invalid", "record invalid")
    SPOT_NOT_OPEN = (Shape.SPOT, 200, "order-orderstate-error", "Incorrect order state")
    SPOT_WOULD_TRIGGER = (
        Shape.SPOT,
        200,
        "order-stop-order-hit-trigger",
        "Orders that are triggered immediately are not supported.",
    )
    SPOT_DUPLICATE = (Shape.SPOT, 200, "invalid-client-order-id", "Duplicate client order id")
    SPOT_NO_BALANCE = (
        Shape.SPOT,
        200,
        "account-frozen-balance-insufficient-error",
        "trade account balance is not enough, left: `{}`",
    )
    SPOT_PRICE_PRECISION = (
        Shape.SPOT,
        200,
        "order-orderprice-precision-error",
        "order price precision error, scale: `{}`",
    )
    SPOT_AMOUNT_PRECISION = (
        Shape.SPOT,
        200,
        "order-orderamount-precision-error",
        "order amount precision error, scale: `{}`",
    )
    SPOT_AMOUNT_MIN = (
        Shape.SPOT,
        200,
        "order-limitorder-amount-min-error",
        "limit order amount error, min: `{}`",
    )
    SPOT_AMOUNT_MAX = (
        Shape.SPOT,
        200,
        "order-limitorder-amount-max-error",
        "limit order amount error, max: `{}`",
    )
    SPOT_VALUE_MIN = (Shape.SPOT, 200, "order-value-min-error", "Order total cannot be lower than: {} {}")
    SPOT_BUY_MAX = (
        Shape.SPOT,
        200,
        "order-limitorder-price-buy-max-error",
        "The price of buy order cannot be higher than {}",
    )
    SPOT_SELL_MIN = (
        Shape.SPOT,
        200,
        "order-limitorder-price-sell-min-error",
        "The price of sell order cannot be lower than {}",
    )
    SPOT_SUSPENDED = (Shape.SPOT, 200, "base-symbol-trade-disabled", "Trading is disabled for this symbol")


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
        self.shape, self.status, self.code, text = error.value
        self.error = error
        self.text = text.format(*values)
        super().__init__(f"{self.code} {self.text}")

    def body(self, now_ms: int) -> dict[str, Any]:
        """The answer's JSON."""
        if self.shape is Shape.CONTRACT:
            return {"code": self.code, "message": self.text, "data": None, "ts": now_ms}
        if self.shape is Shape.FRONT:
            return {"status": "error", "err_code": self.code, "err_msg": self.text, "ts": now_ms}
        return {"status": "error", "err-code": self.code, "err-msg": self.text, "data": None}
