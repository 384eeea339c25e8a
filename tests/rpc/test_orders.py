"""Orders through a real server: they are placed, changed, refused with a reason, and never sent to a dead core."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from rpc.client import Client, OutcomeUnknownError, RpcError
from rpc.ledger import Ledger, LedgerError
from rpc.messages import Error
from rpc.protocol import Call
from rpc.requests import PlaceOrder
from tests.rpc.conftest import QUICK, World, wait_for
from tests.rpc.scripted_core import ScriptedCore


def core_of(world: World) -> ScriptedCore:
    assert world.core is not None
    return world.core


def test_an_order_is_acknowledged_when_the_core_has_taken_it(world: World, desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "0.5", "61800.1", post_only=True, client_order_id="a")
    assert (order.client, order.client_order_id, order.state) == ("desk", "a", "pending_new")
    assert (order.price, order.qty, order.filled_qty) == ("61800.1", "0.500", "0.000")
    assert (order.order_type, order.time_in_force, order.post_only, order.reduce_only) == ("limit", "gtc", True, False)
    assert core_of(world).orders[order.order_id]["px"] == 618001
    assert core_of(world).orders[order.order_id]["qty"] == 500


def test_exact_numbers_of_every_kind_are_taken(world: World, desk: Client) -> None:
    by_text = desk.place("BTCUSDT", "buy", "0.100", "61800.10")
    by_decimal = desk.place("BTCUSDT", "sell", Decimal("1E-1"), Decimal("61800.1"))
    by_int = desk.place("BTCUSDT", "sell", 1, 61800)
    assert [order.price for order in (by_text, by_decimal, by_int)] == ["61800.1", "61800.1", "61800.0"]
    assert [order.qty for order in (by_text, by_decimal, by_int)] == ["0.100", "0.100", "1.000"]


def test_a_float_is_refused_by_the_client(desk: Client) -> None:
    with pytest.raises(TypeError, match=r"0\.30000000000000004 is a float"):
        desk.place("BTCUSDT", "buy", 0.1 + 0.2, "61800.1")  # type: ignore[arg-type]


def test_a_market_order_fills_and_the_position_follows(desk: Client) -> None:
    order = desk.place("BTCUSDT", "sell", "1")
    assert (order.order_type, order.time_in_force, order.price) == ("market", "ioc", None)
    wait_for(lambda: len(desk.positions()) == 1, "the fill and the position")
    assert desk.order(order_id=order.order_id).state == "filled"
    (fill,) = desk.fills()
    assert (fill.order_id, fill.side, fill.price, fill.qty) == (order.order_id, "sell", "100.0", "1.000")
    assert (fill.fee, fill.liquidity, fill.trade_id) == ("0.12345678", "maker", 1)
    (position,) = desk.positions()
    assert (position.symbol, position.qty, position.average_price) == ("BTCUSDT", "-1.000", "100")


def test_an_order_is_amended_and_cancelled_by_either_id(desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "0.5", "61800.1", client_order_id="a")
    desk.amend(client_order_id="a", price="61900")
    desk.amend(order_id=order.order_id, qty="0.6")
    wait_for(lambda: desk.order(client_order_id="a").state == "live", "the amends")
    amended = desk.order(client_order_id="a")
    assert (amended.price, amended.qty) == ("61900.0", "0.600")
    desk.cancel(client_order_id="a")
    wait_for(lambda: desk.order(client_order_id="a").state == "cancelled", "the cancel")
    with pytest.raises(RpcError, match="ORDER_NOT_OPEN: order 'a' is no longer open"):
        desk.cancel(order_id=order.order_id)


def test_pages_of_orders_and_fills_are_put_together(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = [desk.place("BTCUSDT", "buy", "0.001") for _ in range(7)]
    resting = [desk.place("ETHUSDT", "buy", "0.01", "3000") for _ in range(3)]
    wait_for(lambda: len(desk.fills()) == 7, "the fills")
    everything = desk.orders(open_only=False)
    assert [order.order_id for order in everything] == [order.order_id for order in (*placed, *resting)][::-1]
    assert {order.order_id for order in desk.orders()} == {order.order_id for order in resting}
    assert len(desk.orders(open_only=False, symbol="BTCUSDT")) == 7
    fills = desk.fills()
    assert [fill.trade_id for fill in desk.fills(after=fills[3])] == [5, 6, 7]


@pytest.mark.parametrize(
    ("qty", "price", "code", "said"),
    [
        ("0.5", "61800.05", "BAD_PRICE", "price 61800.05 is not on BTCUSDT's tick 0.1"),
        ("0.0005", "61800.1", "QTY_BELOW_MIN", "quantity 0.0005 is not on BTCUSDT's lot 0.001"),
        ("0", "61800.1", "QTY_BELOW_MIN", "quantity 0 of BTCUSDT must be above zero"),
        ("1", "0.0", "BAD_PRICE", "price 0.0 of BTCUSDT must be above zero"),
        ("1", "-5", "BAD_PRICE", "price '-5' is not plain decimal text"),
        ("1", "1e400000000", "BAD_PRICE", "price '1e400000000' is not plain decimal text"),
        ("nan", "1", "QTY_BELOW_MIN", "quantity 'nan' is not plain decimal text"),
        ("1", "\u0661", "BAD_PRICE", "is not plain decimal text"),
        ("99999999999999999999", "1", "OVERFLOW", "quantity 99999999999999999999 of BTCUSDT is too large"),
    ],
)
def test_numbers_that_cannot_be_used_are_named(
    world: World, desk: Client, qty: str, price: str, code: str, said: str
) -> None:
    with pytest.raises(RpcError) as refused:
        desk.place("BTCUSDT", "buy", qty, price)
    assert refused.value.code == code
    assert said in str(refused.value)
    assert core_of(world).taken == 0


def test_orders_that_make_no_sense_are_refused(world: World, desk: Client) -> None:
    with pytest.raises(RpcError, match=r"unknown instrument 'DOGE': the settings define BTCUSDT\.binance_usdm"):
        desk.place("DOGE", "buy", "1", "1")
    with pytest.raises(RpcError, match="a limit order for BTCUSDT needs a price"):
        desk.place("BTCUSDT", "buy", "1", order_type="limit")
    with pytest.raises(RpcError, match="a market order takes no price, and 5 is given"):
        desk.place("BTCUSDT", "buy", "1", "5", order_type="market")
    order = desk.place("BTCUSDT", "buy", "1", "5")
    with pytest.raises(RpcError, match="changes nothing: give"):
        desk.amend(order_id=order.order_id)
    with pytest.raises(RpcError, match=r"price 5\.01 is not on BTCUSDT's tick"):
        desk.amend(order_id=order.order_id, price="5.01")
    with pytest.raises(RpcError, match="name the order by its client_order_id or its order_id"):
        desk.cancel()
    with pytest.raises(RpcError, match="client desk has no order 'never'"):
        desk.cancel(client_order_id="never")
    with pytest.raises(RpcError, match=r"the request cannot be read: side 'long' is none of buy, sell"):
        desk.place("BTCUSDT", "long", "1", "5")  # type: ignore[arg-type]
    assert core_of(world).taken == 1


def test_the_order_of_another_client_can_neither_be_seen_nor_touched(world: World, desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "1", "5", client_order_id="mine")
    other = world.client("other")
    for ask in (other.cancel, other.order):
        with pytest.raises(RpcError, match=f"NOT_OWNER: order {order.order_id} is desk's, not other's"):
            ask(order_id=order.order_id)
        with pytest.raises(RpcError, match="UNKNOWN_ORDER: client other has no order 'mine'"):
            ask(client_order_id="mine")
    assert other.orders() == []
    assert other.fills() == []
    assert [each.order_id for each in other.orders(scope="account")] == [order.order_id]
    assert core_of(world).taken == 1


def test_two_clients_may_use_the_same_id(world: World, desk: Client) -> None:
    other = world.client("other")
    first = desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    second = other.place("BTCUSDT", "sell", "2", "6", client_order_id="a")
    assert first.order_id != second.order_id
    assert desk.order(client_order_id="a").side == "buy"
    assert other.order(client_order_id="a").side == "sell"


def test_halted_trading_refuses_with_the_reason_and_the_remedy(world: World, desk: Client) -> None:
    resting = desk.place("BTCUSDT", "buy", "1", "5")
    assert desk.set_trading_state("halted") == "halted"
    assert desk.status().trading_state == "halted"
    with pytest.raises(RpcError) as refused:
        desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    assert refused.value.code == "TRADING_HALTED"
    assert "zoms resume" in str(refused.value)
    assert refused.value.order is not None
    assert refused.value.order.qty == "1.000"
    desk.cancel(order_id=resting.order_id)
    assert desk.set_trading_state("active") == "active"
    with pytest.raises(RpcError, match="TRADING_HALTED") as again:  # the same id is the same order
        desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    said = "client_order_id 'a' stands for buy 1.000 BTCUSDT at 5.0, which was refused when it came, for TRADING_HALTED"
    assert said in str(again.value)
    assert str(again.value).endswith("to place it now, use a new id")
    assert "trading is halted" not in str(again.value)
    assert desk.order(client_order_id="a").state == "rejected"
    assert desk.place("BTCUSDT", "buy", "1", "5", client_order_id="b").state == "pending_new"


def test_a_refused_amend_is_told_with_what_it_asked_for(desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "1", "5")
    with pytest.raises(RpcError, match=r"PRICE_COLLAR: price 432\.1 of buy 2\.000 BTCUSDT at 432\.1 is") as refused:
        desk.amend(order_id=order.order_id, price="432.1", qty="2")
    assert refused.value.order is not None
    assert (refused.value.order.price, refused.value.order.qty) == ("5.0", "1.000")  # as it still stands
    with pytest.raises(RpcError, match=r"price 432\.1 of buy 1\.000 BTCUSDT at 432\.1"):
        desk.amend(order_id=order.order_id, price="432.1")


def test_cancel_all_cancels_own_orders_and_no_others(world: World, desk: Client) -> None:
    other = world.client("other")
    mine = [desk.place("BTCUSDT", "buy", "1", "5"), desk.place("ETHUSDT", "buy", "1", "5")]
    theirs = other.place("BTCUSDT", "buy", "1", "5")
    assert desk.cancel_all("ETHUSDT") == 1
    assert desk.cancel_all() == 1
    assert desk.cancel_all() == 0
    assert {desk.order(order_id=order.order_id).state for order in mine} <= {"pending_cancel", "cancelled"}
    assert other.order(order_id=theirs.order_id).state == "live"


def test_cancel_all_of_the_account_cancels_everyones(world: World, desk: Client) -> None:
    other = world.client("other")
    theirs = other.place("BTCUSDT", "buy", "1", "5")
    desk.place("BTCUSDT", "buy", "1", "5")
    assert desk.cancel_all(scope="account") == 2
    assert other.order(order_id=theirs.order_id).state == "cancelled"


def test_no_order_is_sent_to_a_core_that_was_never_heard_of(world: World) -> None:
    world.start_server()
    client = world.client()
    with pytest.raises(RpcError, match="CORE_UNAVAILABLE: the core has not been heard of since this server started"):
        client.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    with pytest.raises(RpcError, match="CORE_UNAVAILABLE"):
        client.cancel_all()
    with pytest.raises(RpcError, match="UNKNOWN_ORDER"):  # the id was not used up
        client.order(client_order_id="a")


def test_no_order_waits_for_a_dead_core(world: World, desk: Client) -> None:
    world.stop_core(clean=False)

    def refused() -> bool:
        try:
            desk.place("BTCUSDT", "buy", "1", "5")
        except OutcomeUnknownError:
            return False
        except RpcError as error:
            return error.code == "CORE_UNAVAILABLE"
        return False

    wait_for(refused, "the server to notice that nobody listens")
    again = world.start_core()
    wait_for(lambda: desk.status().core_session == again.session, "the next core")
    wait_for(lambda: not refused(), "the connection to the next core")
    assert len(again.orders) == 1
    assert again.taken == 1


def test_a_core_whose_heartbeat_is_old_gets_no_orders(world: World, desk: Client) -> None:
    core_of(world).become(beating=False)
    wait_for(lambda: not desk.status().core_available, "the heartbeat to be old")
    with pytest.raises(RpcError, match=r"the core has not been heard of for \d"):
        desk.place("BTCUSDT", "buy", "1", "5")
    assert core_of(world).taken == 0


@pytest.mark.unanswered
def test_a_core_that_does_not_answer_leaves_the_outcome_unknown(world: World, desk: Client) -> None:
    core = core_of(world)
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError) as unknown:
        desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    assert unknown.value.client_order_id == "a"
    assert unknown.value.order is not None
    assert unknown.value.order.state == "unknown"
    assert desk.order(client_order_id="a").state == "unknown"
    core.become(deaf=False)
    wait_for(lambda: desk.order(client_order_id="a").state == "live", "the late order")
    assert desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a").state == "live"
    assert core.taken == 1


@pytest.mark.unanswered
def test_amends_cancels_and_states_without_an_answer_are_unknown_too(world: World, desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "1", "5")
    core_of(world).become(deaf=True)
    with pytest.raises(OutcomeUnknownError, match="the amend of order"):
        desk.amend(order_id=order.order_id, price="6")
    with pytest.raises(OutcomeUnknownError, match="the cancel of order"):
        desk.cancel(order_id=order.order_id)
    with pytest.raises(OutcomeUnknownError, match="cancels"):
        desk.cancel_all()
    with pytest.raises(OutcomeUnknownError, match="trading state halted"):
        desk.set_trading_state("halted")


@pytest.mark.unanswered
def test_a_command_that_the_core_reads_too_late_has_no_effect(world: World, desk: Client) -> None:
    core = core_of(world)
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError):
        desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    until = time.monotonic() + QUICK.command_life_s
    wait_for(lambda: time.monotonic() > until, "the command to be void")
    core.become(deaf=False)
    wait_for(lambda: desk.order(client_order_id="a").state == "rejected", "the refusal")
    assert core.orders == {}
    assert desk.order(client_order_id="a").reason == "COMMAND_TOO_LATE"


def test_a_request_that_its_client_has_given_up_on_has_no_effect(world: World, desk: Client) -> None:
    late = PlaceOrder(
        request_id=1, client_order_id="a", symbol="BTCUSDT", side="buy", qty="1", price="5", expires_ts=time.time_ns()
    )
    reply = desk._exchange(Call(late, 1.0))
    assert isinstance(reply, Error)
    assert reply.code == "REQUEST_EXPIRED"
    assert core_of(world).taken == 0


def test_an_order_whose_id_cannot_be_put_on_disk_is_not_sent_and_cancels_still_are(
    world: World, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting = desk.place("BTCUSDT", "buy", "1", "5")
    core = core_of(world)

    def full(ledger: Ledger) -> None:
        ledger.rollback()
        raise LedgerError("ledger: no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "commit", full)
        with pytest.raises(RpcError, match="LEDGER_FAILED: the order id could not be put on disk; nothing was sent"):
            desk.place("BTCUSDT", "buy", "2", "5", client_order_id="a")
        assert desk.cancel(order_id=resting.order_id).state == "pending_cancel"
    assert len(core.orders) == 1
    assert desk.place("BTCUSDT", "buy", "2", "5", client_order_id="a").qty == "2.000"
    assert core.taken == 3
