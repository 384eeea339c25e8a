"""Signatures and time against the documentation's own example, rate limits in their windows."""

from __future__ import annotations

import pytest

from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.limits import BAN_AFTER, BAN_MS, WEIGHT, RateLimits
from gateways.sandbox.binance.security import Sent, check_signature, check_time, owner_of

pytestmark = pytest.mark.pure

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
"""Of the example on Binance's page "General Info" of USDⓈ-M Futures, as are what follows."""
BODY = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
)
SIGNATURE = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
NOW_MS = 1_591_702_613_943


def test_documented_signature_is_taken() -> None:
    check_signature(Sent("", f"{BODY}&signature={SIGNATURE}"), SECRET)
    check_signature(Sent(f"{BODY}&signature={SIGNATURE}", ""), SECRET)


def test_signature_goes_over_query_and_body_without_anything_between() -> None:
    query, body = BODY[:40], BODY[40:]
    check_signature(Sent(query, f"{body}&signature={SIGNATURE}"), SECRET)


@pytest.mark.parametrize("body", [BODY.replace("quantity=1", "quantity=2"), BODY + "&x=1"])
def test_other_content_is_refused(body: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_signature(Sent("", f"{body}&signature={SIGNATURE}"), SECRET)
    assert refused.value.error is Error.BAD_SIGNATURE


def test_missing_signature_is_refused() -> None:
    with pytest.raises(ApiError, match="signature"):
        check_signature(Sent(BODY, ""), SECRET)


@pytest.mark.parametrize(
    ("now_ms", "error"),
    [
        (NOW_MS + 5000, None),
        (NOW_MS + 5001, Error.OUTSIDE_WINDOW),
        (NOW_MS - 999, None),
        (NOW_MS - 1000, Error.AHEAD_OF_SERVER),
    ],
)
def test_window_of_time(now_ms: int, error: Error | None) -> None:
    given = {"timestamp": str(NOW_MS), "recvWindow": "5000"}
    if error is None:
        check_time(given, now_ms)
        return
    with pytest.raises(ApiError) as refused:
        check_time(given, now_ms)
    assert refused.value.error is error


@pytest.mark.parametrize("text", ["", "soon", "-1", "1" * 19])
def test_malformed_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="timestamp"):
        check_time({"timestamp": text}, NOW_MS)


@pytest.mark.parametrize(
    ("key", "error"), [(None, Error.BAD_KEY_FORMAT), ("short", Error.BAD_KEY_FORMAT), ("a" * 64, Error.BAD_KEY)]
)
def test_unknown_key_is_refused(key: str | None, error: Error) -> None:
    with pytest.raises(ApiError) as refused:
        owner_of(key, {"b" * 64: "secret"})
    assert refused.value.error is error


def test_weight_is_counted_in_windows() -> None:
    limits = RateLimits()
    assert limits.charge_weight("a", 2000, 60_000) == {"X-MBX-USED-WEIGHT-1M": "2000"}
    assert limits.charge_weight("b", 1, 60_000) == {"X-MBX-USED-WEIGHT-1M": "1"}
    assert limits.charge_weight("a", 400, 119_999) == {"X-MBX-USED-WEIGHT-1M": "2400"}
    with pytest.raises(ApiError) as refused:
        limits.charge_weight("a", 1, 119_000)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    assert limits.charge_weight("a", 5, 120_000) == {"X-MBX-USED-WEIGHT-1M": "5"}


def test_address_that_goes_on_is_banned() -> None:
    limits = RateLimits()
    limits.charge_weight("a", WEIGHT.most, 0)
    statuses = []
    for _ in range(BAN_AFTER + 1):
        with pytest.raises(ApiError) as refused:
            limits.charge_weight("a", 1, 1000)
        statuses.append(refused.value.status)
    assert statuses == [429] * BAN_AFTER + [418]
    with pytest.raises(ApiError, match="banned until"):
        limits.charge_weight("a", 1, BAN_MS)
    assert limits.charge_weight("a", 1, BAN_MS + 1000) == {"X-MBX-USED-WEIGHT-1M": "1"}


def test_orders_are_counted_by_account() -> None:
    limits = RateLimits()
    for _ in range(60):
        limits.charge_orders("1", 1, 5, 0)
    with pytest.raises(ApiError) as refused:
        limits.charge_orders("1", 1, 5, 9_999)
    assert refused.value.error is Error.TOO_MANY_ORDERS
    assert "300 orders per TEN_SECONDS" in refused.value.text
    assert limits.charge_orders("2", 1, 1, 0) == {"X-MBX-ORDER-COUNT-1M": "1", "X-MBX-ORDER-COUNT-10S": "1"}
    assert limits.charge_orders("1", 1, 1, 10_000)["X-MBX-ORDER-COUNT-10S"] == "1"
