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
    CANCELLED = (Shape.CONTRACT, 200, 1071, "Repeated cancellation. Your order has been canceled.")


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
