"""What each exception means, the table of ccxt's classes whole."""

from __future__ import annotations

import inspect

import aiohttp
import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.orders.binance_words import CODES
from gateways.orders.outcomes import TABLE, Verdict, outcome_of
from oms.records import Reason

CLASSES = [each for _, each in inspect.getmembers(ccxt, inspect.isclass) if issubclass(each, ccxt.BaseError)]
MAY_BE_DONE = (Verdict.UNKNOWN, Verdict.DUPLICATE, Verdict.GONE, Verdict.UNCHANGED)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (ccxt.InsufficientFunds, Verdict.REFUSED),
        (ccxt.InvalidOrder, Verdict.REFUSED),
        (ccxt.OrderImmediatelyFillable, Verdict.REFUSED),
        (ccxt.OrderNotFillable, Verdict.REFUSED),
        (ccxt.BadRequest, Verdict.REFUSED),
        (ccxt.BadSymbol, Verdict.REFUSED),
        (ccxt.PermissionDenied, Verdict.REFUSED),
        (ccxt.AuthenticationError, Verdict.HALT),
        (ccxt.AccountSuspended, Verdict.HALT),
        (ccxt.InvalidNonce, Verdict.RESYNC),
        (ccxt.RateLimitExceeded, Verdict.NOT_ACCEPTED),
        (ccxt.DDoSProtection, Verdict.NOT_ACCEPTED),
        (ccxt.OnMaintenance, Verdict.NOT_ACCEPTED),
        (ccxt.RequestTimeout, Verdict.UNKNOWN),
        (ccxt.ExchangeNotAvailable, Verdict.UNKNOWN),
        (ccxt.OperationFailed, Verdict.UNKNOWN),
        (ccxt.NetworkError, Verdict.UNKNOWN),
        (ccxt.BadResponse, Verdict.UNKNOWN),
        (ccxt.NullResponse, Verdict.UNKNOWN),
        (ccxt.ExchangeError, Verdict.UNKNOWN),
        (ccxt.OrderNotFound, Verdict.GONE),
        (ccxt.DuplicateOrderId, Verdict.DUPLICATE),
        (TimeoutError, Verdict.UNKNOWN),
        (KeyError, Verdict.UNKNOWN),
        (aiohttp.ClientPayloadError, Verdict.UNKNOWN),
    ],
)
def test_class_has_its_meaning(kind: type[Exception], verdict: Verdict) -> None:
    assert outcome_of(kind("no code"), {}, sent_once=True).verdict is verdict


@given(st.sampled_from(CLASSES), st.text(), st.booleans())
def test_only_what_the_table_names_is_taken_for_not_done(kind: type[Exception], text: str, sent_once: bool) -> None:
    outcome = outcome_of(kind(text.replace('"', "")), CODES, sent_once=sent_once)
    if not any(each in TABLE for each in kind.__mro__):
        assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.code == 0


@given(st.sampled_from(CLASSES), st.sampled_from(sorted(CODES)))
def test_code_goes_over_the_class(kind: type[Exception], code: int) -> None:
    outcome = outcome_of(kind(f'binanceusdm {{"code":{code},"msg":"x"}}'), CODES, sent_once=True)
    assert (outcome.verdict, outcome.reason, outcome.code) == (*CODES[code], code)


@given(st.integers(-9999, -1).filter(lambda code: code not in CODES))
def test_bare_error_with_a_code_is_a_refusal(code: int) -> None:
    outcome = outcome_of(ccxt.ExchangeError(f'binanceusdm {{"code":{code},"msg":"x"}}'), CODES, sent_once=True)
    assert (outcome.verdict, outcome.reason, outcome.code) == (Verdict.REFUSED, Reason.EXCHANGE_REFUSED, code)


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -1008])
def test_codes_that_leave_it_open_stay_unknown(code: int) -> None:
    exchange = ccxt.binanceusdm()
    tables = (
        exchange.get_exceptions_by_url(f"{exchange.urls['api']['fapiPrivate']}/order", "exact"),
        exchange.exceptions["exact"],
    )
    kind = next(table[str(code)] for table in tables if str(code) in table)
    assert outcome_of(kind(f'{{"code":{code}}}'), CODES, sent_once=True).verdict is Verdict.UNKNOWN


def never_connected() -> ccxt.ExchangeNotAvailable:
    key = aiohttp.client_reqrep.ConnectionKey("fapi", 443, True, True, None, None, None)
    error = ccxt.ExchangeNotAvailable("binanceusdm POST")
    error.__cause__ = aiohttp.ClientConnectorError(key, ConnectionRefusedError())
    return error


def test_request_that_never_left_was_not_accepted() -> None:
    assert outcome_of(never_connected(), CODES, sent_once=True).verdict is Verdict.NOT_ACCEPTED


def test_unless_it_may_have_left_before() -> None:
    assert outcome_of(never_connected(), CODES, sent_once=False).verdict is Verdict.UNKNOWN


def test_refusals_say_why_and_what_may_be_done_is_asked_about() -> None:
    for verdict, reason in [*TABLE.values(), *CODES.values()]:
        assert reason is not Reason.NONE or verdict in MAY_BE_DONE
