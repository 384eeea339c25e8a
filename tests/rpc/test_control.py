"""Trading states, the kill switch, mass cancels and figures, by account and by strategy."""

from __future__ import annotations

import pytest

from oms.records import (
    CASH_SCALE,
    EVERY_PRICE,
    EXCHANGE_CLIENT,
    ORDER_ID_COUNTER_BITS,
    SELL,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
)
from rpc.client import Client, OutcomeUnknownError, RpcError
from rpc.entities import StandingEvent, TradingStateEvent
from tests.rpc.conftest import World, wait_for
from tests.rpc.scripted_core import ScriptedCore


@pytest.fixture
def core(world: World) -> ScriptedCore:
    return world.start_core()


@pytest.fixture
def desk(world: World, core: ScriptedCore) -> Client:
    world.start_server()
    return world.ready_client()


def states(client: Client) -> dict[tuple[str, str | None], str]:
    return {(each.account, each.strategy): each.trading_state for each in client.standings()}


def test_a_trading_state_is_set_for_one_account_one_strategy_or_every_account(desk: Client) -> None:
    assert desk.set_trading_state("reducing", account="hedge") == "reducing"
    assert states(desk) == {("paper", None): "active", ("hedge", None): "reducing", ("paper", "maker"): "active"}
    assert desk.set_trading_state("halted", strategy="maker") == "halted"
    assert states(desk)["paper", "maker"] == "halted"
    assert desk.status().trading_state == "active"
    assert desk.set_trading_state("halted") == "halted"
    assert states(desk) == dict.fromkeys([("paper", None), ("hedge", None), ("paper", "maker")], "halted")


def test_the_kill_switch_cancels_and_halts(core: ScriptedCore, desk: Client) -> None:
    mine = desk.place("BTCUSDT", "buy", "1", "100")
    stop = desk.place("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price="90")
    other = desk.place("BTCUSDT", "buy", "1", "100", account="hedge", position_side="long")
    desk.kill(account="paper")
    wait_for(lambda: len(desk.orders()) == 1, "the cancels")
    assert {desk.order(order_id=each.order_id).state for each in (mine, stop)} == {"cancelled"}
    assert desk.order(order_id=other.order_id).state == "live"
    assert states(desk)["paper", None] == "halted"
    desk.kill(flatten=True)
    wait_for(lambda: not desk.orders(), "the cancels")
    assert states(desk)["hedge", None] == "halted"
    assert core.taken == 3 + 1 + 2


@pytest.mark.unanswered
def test_a_kill_without_an_answer_is_unknown(core: ScriptedCore, desk: Client) -> None:
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError, match="the kill switch was not answered"):
        desk.kill()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda client: client.kill(account="none"), "UNKNOWN_ACCOUNT: unknown account 'none'"),
        (
            lambda client: client.set_trading_state("halted", strategy="x"),
            "UNKNOWN_STRATEGY: strategy 'x' does not run",
        ),
        (lambda client: client.cancel_all(scope="account", account="none"), "UNKNOWN_ACCOUNT"),
        (lambda client: client.cancel_all(strategy="maker"), "BAD_COMMAND: orders of strategy maker are not desk's"),
        (lambda client: client.positions(strategy="x"), "UNKNOWN_STRATEGY"),
    ],
)
def test_whoever_is_not_there_is_refused_by_name(core: ScriptedCore, desk: Client, call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RpcError, match=said):
        call(desk)
    assert core.taken == 0


def test_cancel_all_is_narrowed_by_account_and_strategy(core: ScriptedCore, desk: Client) -> None:
    desk.place("BTCUSDT", "buy", "1", "100")
    there = desk.place("BTCUSDT", "buy", "1", "100", account="hedge", position_side="long")
    assert desk.cancel_all(scope="account", strategy="maker") == 0
    assert desk.cancel_all(scope="account", account="hedge", symbol="ETHUSDT") == 0
    assert desk.cancel_all(account="hedge") == 1
    assert desk.order(order_id=there.order_id).state in ("pending_cancel", "cancelled")
    assert desk.cancel_all(scope="account", account="paper") == 1


def test_positions_are_those_of_accounts_legs_and_strategies(core: ScriptedCore, desk: Client) -> None:
    core.tell(EventKind.POSITION, instrument=0, account=0, strategy=-1, position_qty=1)
    core.tell(EventKind.POSITION, instrument=0, account=0, strategy=0, position_qty=2)
    for flags in (0, OrderFlag.SHORT_LEG):
        core.tell(EventKind.POSITION, instrument=0, account=1, strategy=-1, position_qty=3, flags=int(flags))
    wait_for(lambda: len(desk.positions()) == 4, "the positions")
    shown = [(each.account, each.strategy, each.position_side, each.qty) for each in desk.positions()]
    assert shown == [
        ("paper", None, None, "0.001"),
        ("paper", "maker", None, "0.002"),
        ("hedge", None, "long", "0.003"),
        ("hedge", None, "short", "0.003"),
    ]
    assert [each.qty for each in desk.positions(strategy="maker")] == ["0.002"]
    assert len(desk.positions(account="hedge")) == 2


@pytest.mark.parametrize(
    ("qty", "liquidation", "price", "distance"),
    [
        (1, 950 * CASH_SCALE, "95", "0.05"),
        (-1, 1_100 * CASH_SCALE, "110", "0.1"),
        (1, 1_010 * CASH_SCALE, "101", "-0.01"),
        (1, 1_000 * CASH_SCALE - 1, "99.999999999", "0"),
        (1, 0, None, None),
        (-1, EVERY_PRICE, None, None),
        (0, 0, None, None),
    ],
)
def test_a_position_tells_how_far_its_liquidation_is(
    core: ScriptedCore, desk: Client, qty: int, liquidation: int, price: str | None, distance: str | None
) -> None:
    terms = {"instrument": 0, "account": 0, "strategy": -1, "position_qty": qty}
    core.tell(EventKind.POSITION, last_px=2_000, order_id=liquidation, **terms)
    wait_for(lambda: len(desk.positions()) == 1, "the position")
    (position,) = desk.positions()
    assert (position.liquidation_price, position.liquidation_distance) == (price, distance)


def test_an_order_by_which_the_exchange_liquidates_is_the_exchanges(core: ScriptedCore, desk: Client) -> None:
    order_id = EXCHANGE_CLIENT << ORDER_ID_COUNTER_BITS | 1
    order = {"instrument": 0, "strategy": -1, "side": SELL, "order_type": OrderType.LIMIT, "px": 1_000, "qty": 5}
    fill = {"state": OrderState.FILLED, "filled_qty": 5, "last_px": 1_000, "last_qty": 5, "liquidity": 2, "aux": 1}
    reason = Reason.LIQUIDATION
    terms = {**order, "order_id": order_id, "reason": reason, "time_in_force": TimeInForce.GTC, "version": 1}
    core.tell(EventKind.ORDER_ADOPTED, **terms, state=OrderState.LIVE)
    core.tell(EventKind.ORDER_FILLED, **terms, **fill)
    wait_for(lambda: len(desk.fills(scope="account")) == 1, "the fill")
    (told,) = desk.orders(scope="account", open_only=False)
    assert (told.client, told.state, told.reason) == ("exchange", "filled", "LIQUIDATION")
    assert [each.client for each in desk.fills(scope="account")] == ["exchange"]
    assert desk.fills() == []


def test_standings_are_told_in_the_reporting_currency(core: ScriptedCore, desk: Client) -> None:
    desk.subscribe(["standings"])
    unit = 10**8
    core.tell(
        EventKind.SCOPE,
        account=1,
        strategy=-1,
        aux=1,
        px=3 * unit,
        qty=5 * unit,
        filled_qty=unit,
        last_px=77,
        last_qty=9 * unit,
        position_qty=-4 * unit,
        realized_pnl=unit // 2,
        fees=6,
    )
    wait_for(lambda: desk.standings()[1].ts > 0, "the standing")
    standing = desk.standings()[1]
    assert (standing.account, standing.strategy, standing.currency) == ("hedge", None, "USDT")
    assert (standing.pnl, standing.day_pnl, standing.drawdown) == ("3", "2", "2")
    assert (standing.gross_exposure, standing.net_exposure, standing.margin) == ("9", "-4", "0.5")
    assert (standing.open_orders, standing.next_reset_ts) == (6, 77)
    assert standing.trading_state == "unknown"
    assert [each.standing for each in desk.events(0.3) if isinstance(each, StandingEvent)] == [standing]


def test_a_strategys_halt_is_told(core: ScriptedCore, desk: Client) -> None:
    desk.subscribe(["status"])
    core.tell(EventKind.TRADING_STATE, account=0, strategy=0, aux=0, reason=int(Reason.DAILY_LOSS))
    told = next(each for each in desk.events() if isinstance(each, TradingStateEvent))
    assert (told.account, told.strategy, told.state, told.reason) == ("paper", "maker", "halted", "DAILY_LOSS")
