"""Orders of every type, as the core gets them, and what of them is refused before it does."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oms.definitions import add_definitions
from oms.records import (
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    TimeInForce,
    TrailUnit,
    Trigger,
    TriggerSource,
)
from rpc.client import Client, OutcomeUnknownError, RpcError
from rpc.entities import trail_text
from tests.rpc.conftest import World, wait_for
from tests.rpc.scripted_core import ScriptedCore

FAR = 4_000_000_000_000_000_000


@pytest.fixture
def core(world: World) -> ScriptedCore:
    return world.start_core()


@pytest.fixture
def desk(world: World, core: ScriptedCore) -> Client:
    world.start_server()
    return world.ready_client()


def asked(core: ScriptedCore, order_id: int, *names: str) -> tuple[int, ...]:
    return tuple(int(core.commands[order_id][name]) for name in names)


@pytest.mark.parametrize(
    ("order_type", "kind", "trigger"),
    [
        ("stop_market", OrderType.MARKET, Trigger.STOP),
        ("take_profit_market", OrderType.MARKET, Trigger.TAKE_PROFIT),
        ("stop_limit", OrderType.LIMIT, Trigger.STOP),
        ("take_profit_limit", OrderType.LIMIT, Trigger.TAKE_PROFIT),
    ],
)
def test_an_order_with_a_trigger_is_held_with_its_terms(
    core: ScriptedCore, desk: Client, order_type: Any, kind: OrderType, trigger: Trigger
) -> None:
    price = "99.5" if kind == OrderType.LIMIT else None
    order = desk.place("BTCUSDT", "sell", "0.2", price, order_type=order_type, trigger_price="100.1", trigger_by="mark")
    assert asked(core, order.order_id, "order_type", "trigger", "trigger_source", "trigger_px", "time_in_force") == (
        kind,
        trigger,
        TriggerSource.MARK,
        1001,
        TimeInForce.GTC,
    )
    assert (order.state, order.order_type, order.price) == ("held", order_type, price)
    assert (order.trigger_price, order.trigger_by) == ("100.1", "mark")


@pytest.mark.parametrize(
    ("trail_by", "trail_unit", "trail", "unit", "shown"),
    [
        ("0.7", None, 7, TrailUnit.PRICE, ("0.7", "price")),
        ("0.7", "price", 7, TrailUnit.PRICE, ("0.7", "price")),
        ("30", "ticks", 30, TrailUnit.TICKS, ("30", "ticks")),
        ("25", "basis_points", 25, TrailUnit.BASIS_POINTS, ("25", "basis_points")),
    ],
)
def test_a_trailing_distance_becomes_ticks_or_basis_points_exactly(
    core: ScriptedCore,
    desk: Client,
    trail_by: str,
    trail_unit: Any,
    trail: int,
    unit: TrailUnit,
    shown: tuple[str, str],
) -> None:
    order = desk.place(
        "BTCUSDT", "sell", "1", order_type="trailing_stop_market", trail_by=trail_by, trail_unit=trail_unit
    )
    terms = asked(core, order.order_id, "trail", "trail_unit", "trigger_px", "trigger_source")
    assert terms == (trail, unit, 0, TriggerSource.LAST)
    assert (order.order_type, order.trigger_price) == ("trailing_stop_market", None)
    assert (order.trail_by, order.trail_unit) == shown


def test_expiry_display_quantity_and_account_travel(core: ScriptedCore, desk: Client) -> None:
    order = desk.place(
        "BTCUSDT",
        "buy",
        "1",
        "100",
        time_in_force="gtd",
        good_till_ts=FAR,
        display_qty="0.25",
        account="hedge",
        position_side="short",
        reduce_only=True,
    )
    names = ("time_in_force", "expire_ts", "display_qty", "account", "flags", "version", "wall_ts")
    terms = asked(core, order.order_id, *names)
    assert terms[:-1] == (TimeInForce.GTD, FAR, 250, 1, OrderFlag.SHORT_LEG | OrderFlag.REDUCE_ONLY, 1)
    assert 0 < terms[-1] < FAR
    assert (order.account, order.position_side, order.display_qty) == ("hedge", "short", "0.250")
    assert (order.time_in_force, order.good_till_ts) == ("gtd", FAR)


def test_a_stop_stands_at_the_exchange_when_that_is_asked_for(core: ScriptedCore, desk: Client) -> None:
    order = desk.place("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price="90", at_exchange=True)
    assert asked(core, order.order_id, "flags", "trigger_px") == (OrderFlag.AT_EXCHANGE, 900)
    assert order.at_exchange


LIMIT = {"price": "100"}


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({**LIMIT, "trigger_price": "1"}, "BAD_TRIGGER: a limit order waits for nothing"),
        ({**LIMIT, "trigger_by": "mark"}, "BAD_TRIGGER: a limit order has no trigger"),
        ({**LIMIT, "trail_by": "1"}, "BAD_TRIGGER: a limit order does not trail"),
        ({**LIMIT, "at_exchange": True}, "BAD_TRIGGER: a limit order cannot stand at the exchange"),
        ({**LIMIT, "order_type": "stop_limit"}, "BAD_TRIGGER: a stop_limit order for BTCUSDT needs a trigger_price"),
        ({"order_type": "stop_limit", "trigger_price": "1"}, "BAD_PRICE: a stop-limit order for BTCUSDT needs a price"),
        ({**LIMIT, "order_type": "stop_market", "trigger_price": "1"}, "BAD_PRICE: a stop-market order takes no price"),
        ({"order_type": "stop_market", "trigger_price": "1.05"}, "BAD_TRIGGER: trigger price 1.05 is not on BTCUSDT's"),
        ({"order_type": "stop_market", "trigger_price": "0"}, "BAD_TRIGGER: trigger price 0 of BTCUSDT must be above"),
        ({"order_type": "stop_market", "trigger_price": "-1"}, "BAD_TRIGGER: trigger price '-1' is not plain decimal"),
        (
            {"order_type": "trailing_stop_market"},
            "BAD_TRIGGER: a trailing_stop_market order for BTCUSDT needs trail_by",
        ),
        ({"order_type": "trailing_stop_market", "trail_by": "0.05"}, "BAD_TRIGGER: trail_by 0.05 is not on BTCUSDT's"),
        (
            {"order_type": "trailing_stop_market", "trail_by": "2.5", "trail_unit": "ticks"},
            "BAD_TRIGGER: trail_by '2.5' is not a whole number of ticks",
        ),
        (
            {"order_type": "trailing_stop_market", "trail_by": "10000", "trail_unit": "basis_points"},
            "BAD_TRIGGER: trail_by 10000 basis_points is not between 1 and 9999",
        ),
        (
            {"order_type": "trailing_stop_market", "trail_by": "0", "trail_unit": "ticks"},
            "BAD_TRIGGER: trail_by 0 ticks is not between 1",
        ),
        ({**LIMIT, "time_in_force": "gtd"}, "BAD_EXPIRY: time in force gtd with good_till_ts 0"),
        ({**LIMIT, "good_till_ts": FAR}, "BAD_EXPIRY: time in force gtc with good_till_ts"),
        ({**LIMIT, "display_qty": "0.0001"}, "BAD_DISPLAY_QTY: display_qty 0.0001 is not on BTCUSDT's lot"),
        ({**LIMIT, "position_side": "long"}, "BAD_LEG: account paper is in netting mode: leave position_side out"),
        ({**LIMIT, "account": "hedge"}, "BAD_LEG: account hedge is in hedging mode: say position_side long or short"),
        ({**LIMIT, "account": "none"}, "UNKNOWN_ACCOUNT: unknown account 'none': the settings define paper, hedge"),
        ({**LIMIT, "contingency": "oto"}, "BAD_PARENT: order .* is oto and names no parent: .* only oco"),
        ({**LIMIT, "parent_order_id": 5}, "BAD_PARENT: order .* names a parent and no contingency: say oto"),
        ({**LIMIT, "contingency": "oto", "parent_order_id": 5}, "UNKNOWN_ORDER: client desk has no order 5"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused_before_it_leaves(
    core: ScriptedCore, desk: Client, terms: dict[str, Any], said: str
) -> None:
    with pytest.raises(RpcError, match=said):
        desk.place("BTCUSDT", "buy", "1", **terms)
    assert core.taken == 0


def test_a_held_order_is_amended_with_its_trigger_and_cancelled(core: ScriptedCore, desk: Client) -> None:
    order = desk.place("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price="100")
    amended = desk.amend(order_id=order.order_id, trigger_price="101.5")
    assert (amended.state, amended.trigger_price) == ("held", "101.5")
    assert desk.cancel(order_id=order.order_id).state == "cancelled"
    assert desk.order(order_id=order.order_id).reason == "REQUESTED"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trail_by": "1"}, "trails by basis_points: amend it in the same unit"),
        ({"trail_by": "5", "trail_unit": "ticks"}, "trails by basis_points"),
        ({"trigger_price": "1.05"}, "trigger price 1.05 is not on BTCUSDT's tick"),
        ({"trail_unit": "ticks"}, "changes nothing"),
    ],
)
def test_an_amend_of_a_trailing_order_keeps_its_unit(desk: Client, change: dict[str, Any], said: str) -> None:
    order = desk.place(
        "BTCUSDT", "sell", "1", order_type="trailing_stop_market", trail_by="30", trail_unit="basis_points"
    )
    if change == {"trail_by": "1"}:
        change = {"trail_by": "1", "trail_unit": "price"}
    with pytest.raises(RpcError, match=said):
        desk.amend(order_id=order.order_id, **change)
    assert desk.amend(order_id=order.order_id, trail_by="40").state == "held"


def test_an_amended_distance_is_shown_also_by_a_server_that_has_started_since(world: World, core: ScriptedCore) -> None:
    server = world.start_server()
    trailing: dict[str, Any] = {"order_type": "trailing_stop_market", "trail_unit": "basis_points"}
    order = world.ready_client().place("BTCUSDT", "sell", "1", trail_by="30", **trailing)
    amended = world.client().amend(order_id=order.order_id, trail_by="40")
    assert (amended.trail_by, amended.trail_unit) == ("40", "basis_points")
    server.close()
    world.start_server()
    shown = world.ready_client("again").orders(scope="account")
    assert [(each.order_id, each.trail_by, each.trail_unit) for each in shown] == [
        (order.order_id, "40", "basis_points")
    ]


@pytest.mark.unanswered
def test_an_order_without_an_answer_shows_the_distance_that_was_asked_for(core: ScriptedCore, desk: Client) -> None:
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError):
        desk.place("BTCUSDT", "sell", "1", order_type="trailing_stop_market", trail_by="0.7", client_order_id="lost")
    lost = desk.order(client_order_id="lost")
    assert (lost.state, lost.trail_by, lost.trail_unit) == ("unknown", "0.7", "price")


@pytest.mark.parametrize(
    ("placed", "unit", "change", "shown"),
    [
        ("0.7", "price", {"trail_by": "0.9"}, ("0.9", "price")),
        ("0.7", "price", {"trail_by": "12", "trail_unit": "ticks"}, ("1.2", "price")),
        ("30", "ticks", {"trail_by": "40"}, ("40", "ticks")),
        ("30", "ticks", {"trail_by": "0.5", "trail_unit": "price"}, ("5", "ticks")),
    ],
)
def test_price_and_ticks_are_amended_by_either_and_shown_as_placed(
    desk: Client, placed: str, unit: Any, change: dict[str, Any], shown: tuple[str, str]
) -> None:
    order = desk.place("BTCUSDT", "sell", "1", order_type="trailing_stop_market", trail_by=placed, trail_unit=unit)
    amended = desk.amend(order_id=order.order_id, **change)
    assert (amended.trail_by, amended.trail_unit) == shown


def test_a_trailing_distance_is_told_in_the_words_that_were_used(desk: Client) -> None:
    given: dict[Any, str] = {"price": "0.7", "ticks": "30", "basis_points": "25"}
    told = {
        unit: trail_text(
            desk.place("BTCUSDT", "sell", "1", order_type="trailing_stop_market", trail_by=trail, trail_unit=unit)
        )
        for unit, trail in given.items()
    }
    assert told == {"price": "0.7", "ticks": "30 ticks", "basis_points": "25 basis points"}


def test_an_order_that_does_not_trail_cannot_be_made_to(desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "1", "5")
    assert (order.trail_by, order.trail_unit) == (None, None)
    with pytest.raises(RpcError, match="trails by nothing: it does not trail"):
        desk.amend(order_id=order.order_id, trail_by="1")


def test_the_same_order_again_is_the_same_order_and_another_trigger_is_another(
    core: ScriptedCore, desk: Client
) -> None:
    terms: dict[str, Any] = {"order_type": "stop_market", "client_order_id": "stop"}
    first = desk.place("BTCUSDT", "sell", "1", trigger_price="100", **terms)
    assert desk.place("BTCUSDT", "sell", "1", trigger_price="100.0", **terms).order_id == first.order_id
    for change in ({"trigger_price": "101"}, {"trigger_price": "100", "trigger_by": "mark"}):
        with pytest.raises(RpcError, match="DUPLICATE_CLIENT_ORDER_ID"):
            desk.place("BTCUSDT", "sell", "1", **terms, **change)  # type: ignore[arg-type]
    assert core.taken == 1


def test_orders_of_two_versions_show_each_in_its_own(world: World, core: ScriptedCore, desk: Client) -> None:
    old = desk.place("BTCUSDT", "buy", "1", "100.1", client_order_id="old")
    first = world.settings.instruments[0]
    add_definitions(world.settings.definitions_file, [first, replace(first, version=2, tick="0.01", lot="0.1")])
    core.tell(EventKind.INSTRUMENT, instrument=0, px=2, version=2)
    wait_for(lambda: desk.instruments()[0].version == 2, "the new version")
    new = desk.place("BTCUSDT", "buy", "1", "100.01", client_order_id="new")
    assert asked(core, new.order_id, "px", "qty", "version") == (10_001, 10, 2)
    shown = {each.client_order_id: (each.price, each.qty) for each in desk.orders()}
    assert shown == {"old": ("100.1", "1.000"), "new": ("100.01", "1.0")}
    assert desk.place("BTCUSDT", "buy", "1", "100.1", client_order_id="old").order_id == old.order_id
    with pytest.raises(RpcError, match=r"BAD_PRICE: price 100\.001 is not on BTCUSDT's tick 0\.01"):
        desk.place("BTCUSDT", "buy", "1", "100.001")


def test_a_contingent_order_names_its_parent(core: ScriptedCore, desk: Client) -> None:
    parent = desk.place("BTCUSDT", "buy", "1", "100", client_order_id="entry")
    child = desk.place("BTCUSDT", "sell", "1", "110", contingency="oto", parent_client_order_id="entry")
    assert asked(core, child.order_id, "contingency", "parent_id") == (Contingency.OTO, parent.order_id)
    assert (child.state, child.contingency, child.parent_order_id) == ("held", "oto", parent.order_id)


def test_an_order_held_by_a_dead_core_is_unknown(world: World, core: ScriptedCore, desk: Client) -> None:
    order = desk.place("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price="100")
    world.stop_core(clean=False)
    again = world.start_core()
    wait_for(lambda: desk.status().core_session == again.session, "the next core")
    shown = desk.order(order_id=order.order_id)
    assert (shown.state, shown.trigger_price, shown.trigger_by) == ("held", "100.0", "last")
    assert int(core.orders[order.order_id]["state"]) == OrderState.HELD
