"""Brackets, groups of which one cancels the others, and cancel-replace: one request, one batch, all or none."""

from __future__ import annotations

from typing import Any

import pytest

from oms.records import Contingency
from rpc.client import Client, OutcomeUnknownError, RpcError, terms
from rpc.entities import Side
from rpc.messages import Error
from rpc.protocol import Call
from rpc.requests import PlaceBracket
from tests.rpc.conftest import World, wait_for
from tests.rpc.scripted_core import ScriptedCore

REFUSED = "432.1"


@pytest.fixture
def core(world: World) -> ScriptedCore:
    return world.start_core()


@pytest.fixture
def desk(world: World, core: ScriptedCore) -> Client:
    world.start_server()
    return world.ready_client()


def bracket(price: str = "100", stop: str = "90", **others: Any) -> list[Any]:
    return [
        terms("BTCUSDT", "buy", "1", price, client_order_id="entry", **others),
        terms("BTCUSDT", "sell", "1", "110", client_order_id="target"),
        terms("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price=stop, client_order_id="stop"),
    ]


def test_a_bracket_is_an_entry_with_two_orders_that_wait_for_it(core: ScriptedCore, desk: Client) -> None:
    entry, target, stop = desk.bracket(*bracket())
    assert [each.client_order_id for each in (entry, target, stop)] == ["entry", "target", "stop"]
    assert (entry.contingency, entry.parent_order_id) == (None, None)
    for child in (target, stop):
        assert (child.state, child.contingency, child.parent_order_id) == ("held", "oto", entry.order_id)
    assert list(core.commands) == [entry.order_id, target.order_id, stop.order_id]
    assert stop.trigger_price == "90.0"


def test_the_same_bracket_again_tells_how_its_orders_stand(core: ScriptedCore, desk: Client) -> None:
    first = desk.bracket(*bracket())
    core.fill(first[0].order_id, 1000, 1000)
    wait_for(lambda: desk.order(order_id=first[0].order_id).state == "filled", "the fill")
    again = desk.bracket(*bracket())
    assert [each.order_id for each in again] == [each.order_id for each in first]
    assert again[0].state == "filled"
    assert core.taken == 3
    with pytest.raises(RpcError, match="DUPLICATE_CLIENT_ORDER_ID: client_order_id 'stop' stands for another order"):
        desk.bracket(*bracket(stop="91"))


def test_an_entry_is_cancelled_when_its_stop_is_refused(core: ScriptedCore, desk: Client) -> None:
    entry, target, stop = bracket()
    stop = terms("BTCUSDT", "sell", "1", REFUSED, order_type="stop_limit", trigger_price="90", client_order_id="stop")
    with pytest.raises(RpcError, match=r"PRICE_COLLAR: .*; the group's other orders are being cancelled: ") as refused:
        desk.bracket(entry, target, stop)
    assert refused.value.order is not None
    assert refused.value.order.client_order_id == "stop"
    wait_for(lambda: not desk.orders(), "the cancels")
    assert desk.order(client_order_id="entry").state == "cancelled"
    assert desk.order(client_order_id="target").state == "cancelled"
    assert core.taken == 5


def test_nothing_leaves_when_one_of_a_bracket_cannot_be_meant(core: ScriptedCore, desk: Client) -> None:
    with pytest.raises(RpcError, match=r"BAD_TRIGGER: order 'stop' of the group: trigger price 90\.05 is not on"):
        desk.bracket(*bracket(stop="90.05"))
    with pytest.raises(RpcError, match="BAD_PARENT: order 'target' does not close entry 'entry'"):
        desk.bracket(*bracket(account="paper"))
    entry, target, _ = bracket()
    with pytest.raises(RpcError, match="DUPLICATE_CLIENT_ORDER_ID: the orders of the group share an id"):
        desk.bracket(entry, target, target)
    with pytest.raises(RpcError, match="UNKNOWN_ORDER"):
        desk.order(client_order_id="entry")
    assert core.taken == 0


@pytest.mark.parametrize(
    ("side", "other", "target", "stop", "where"),
    [
        ("buy", "sell", "110", "115", "below"),
        ("buy", "sell", "110", "110", "below"),
        ("sell", "buy", "90", "85", "above"),
    ],
)
def test_a_bracket_with_its_target_and_stop_swapped_is_refused(
    core: ScriptedCore, desk: Client, side: Side, other: Side, target: str, stop: str, where: str
) -> None:
    said = f"BAD_TRIGGER: stop {stop} of order 's' is not {where} target {target} of order 't'"
    with pytest.raises(RpcError, match=said):
        desk.bracket(
            terms("BTCUSDT", side, "1", "100"),
            terms("BTCUSDT", other, "1", target, client_order_id="t"),
            terms("BTCUSDT", other, "1", order_type="stop_market", trigger_price=stop, client_order_id="s"),
        )
    assert core.taken == 0


def test_of_an_oco_group_each_names_the_first(core: ScriptedCore, desk: Client) -> None:
    first, second, third = desk.oco(
        terms("BTCUSDT", "sell", "1", "110"),
        terms("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price="90"),
        terms("BTCUSDT", "sell", "1", "111"),
    )
    assert (first.contingency, first.parent_order_id) == ("oco", None)
    for other in (second, third):
        assert (other.contingency, other.parent_order_id) == ("oco", first.order_id)
    assert {int(each["contingency"]) for each in core.commands.values()} == {Contingency.OCO}


def test_a_member_of_a_group_with_a_parent_of_its_own_is_refused(core: ScriptedCore, desk: Client) -> None:
    own = desk.place("BTCUSDT", "buy", "1", "100")
    with pytest.raises(RpcError, match="of the group has a parent: leave it out"):
        desk.oco(
            terms("BTCUSDT", "sell", "1", "110"),
            terms("BTCUSDT", "sell", "1", "111", contingency="oto", parent_order_id=own.order_id),
        )
    assert core.taken == 1


@pytest.mark.unanswered
def test_a_group_without_an_answer_is_unknown_and_the_same_again_is_safe(core: ScriptedCore, desk: Client) -> None:
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError) as unknown:
        desk.bracket(*bracket())
    assert unknown.value.client_order_id == "entry"
    core.become(deaf=False)
    wait_for(lambda: core.taken == 3, "the late orders")
    orders = desk.bracket(*bracket(), retries=2)
    assert [each.state for each in orders] == ["live", "held", "held"]
    assert core.taken == 3


@pytest.mark.unanswered
def test_a_group_that_came_too_late_is_sent_again_as_a_whole(core: ScriptedCore, desk: Client) -> None:
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError):
        desk.bracket(*bracket())
    request = PlaceBracket(request_id=1, entry=bracket()[0], take_profit=bracket()[1], stop=bracket()[2], expires_ts=1)
    reply = desk._exchange(Call(request, 1.0))
    assert isinstance(reply, Error)
    assert reply.code == "REQUEST_EXPIRED"
    core.become(deaf=False)
    orders = desk.bracket(*bracket(), retries=5)
    assert [each.client_order_id for each in orders] == ["entry", "target", "stop"]
    assert len(core.orders) == 3


def test_nothing_of_a_group_waits_for_a_core_that_is_not_there(world: World) -> None:
    world.start_server()
    client = world.client()
    with pytest.raises(RpcError, match="CORE_UNAVAILABLE"):
        client.bracket(*bracket())
    for name in ("entry", "target", "stop"):
        with pytest.raises(RpcError, match="UNKNOWN_ORDER"):
            client.order(client_order_id=name)


def test_a_replacement_is_as_the_order_that_it_replaces_but_for_what_is_given(core: ScriptedCore, desk: Client) -> None:
    old = desk.place("BTCUSDT", "buy", "1", "100", post_only=True, display_qty="0.5", client_order_id="old")
    desk.amend(order_id=old.order_id, qty="2")
    wait_for(lambda: desk.order(order_id=old.order_id).qty == "2.000", "the amend")
    new = desk.replace(client_order_id="old", new_client_order_id="new", price="101")
    assert (new.price, new.qty, new.post_only, new.display_qty) == ("101.0", "2.000", True, "0.500")
    assert (new.state, new.contingency, new.parent_order_id) == ("held", "replace", old.order_id)
    wait_for(lambda: desk.order(order_id=old.order_id).state == "cancelled", "the cancel")
    again = desk.replace(client_order_id="old", new_client_order_id="new", price="101")
    assert again.order_id == new.order_id
    with pytest.raises(RpcError, match="DUPLICATE_CLIENT_ORDER_ID"):
        desk.replace(client_order_id="old", new_client_order_id="new", price="102")


def test_a_replacement_moves_a_trigger(core: ScriptedCore, desk: Client) -> None:
    old = desk.place("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price="90")
    new = desk.replace(order_id=old.order_id, trigger_price="91")
    assert (new.order_type, new.trigger_price, new.parent_order_id) == ("stop_market", "91.0", old.order_id)


def test_a_replacement_of_a_stop_limit_that_has_fired_does_not_wait_for_its_price_again(
    core: ScriptedCore, desk: Client
) -> None:
    old = desk.place("BTCUSDT", "sell", "1", "89", order_type="stop_limit", trigger_price="90")
    core.accept(old.order_id)
    wait_for(lambda: desk.order(order_id=old.order_id).state == "live", "the stop")
    new = desk.replace(order_id=old.order_id, price="88")
    assert (new.order_type, new.price, new.trigger_price) == ("limit", "88.0", None)
    assert not core.commands[new.order_id]["trigger"]


def test_a_replacement_trails_as_the_order_was_last_amended(core: ScriptedCore, desk: Client) -> None:
    trailing: dict[str, Any] = {"order_type": "trailing_stop_market", "trail_unit": "basis_points"}
    old = desk.place("BTCUSDT", "sell", "1", trail_by="30", **trailing)
    desk.amend(order_id=old.order_id, trail_by="40", trigger_price="91")
    new = desk.replace(order_id=old.order_id, qty="2")
    assert (new.trail_by, new.trail_unit, new.trigger_price) == ("40", "basis_points", "91.0")
    assert int(core.commands[new.order_id]["trail"]) == 40


@pytest.mark.parametrize("member", [0, 1, 2])
def test_an_order_of_a_bracket_is_not_replaced(core: ScriptedCore, desk: Client, member: int) -> None:
    orders = desk.bracket(*bracket())
    others = ", ".join(str(each.order_id) for each in orders if each is not orders[member])
    named = f"order '{orders[member].client_order_id}' .{orders[member].order_id}. is of the group of order"
    remedy = "amend it, or cancel the group and place it anew"
    with pytest.raises(RpcError, match=f"BAD_PARENT: {named} {orders[0].order_id}, with {others}, .*: {remedy}"):
        desk.replace(order_id=orders[member].order_id, qty="2")
    assert core.taken == 3
    assert len(desk.orders()) == 3


def test_an_order_of_an_oco_group_is_replaced_only_once_the_others_have_ended(core: ScriptedCore, desk: Client) -> None:
    first, second = desk.oco(terms("BTCUSDT", "sell", "1", "110"), terms("BTCUSDT", "sell", "1", "111"))
    for each, other in ((first, second), (second, first)):
        with pytest.raises(RpcError, match=f"is of the group of order {first.order_id}, with {other.order_id}, of"):
            desk.replace(order_id=each.order_id, price="112")
    desk.cancel(order_id=first.order_id)
    wait_for(lambda: desk.order(order_id=first.order_id).state == "cancelled", "the cancel")
    assert desk.replace(order_id=second.order_id, price="112").contingency == "replace"


def test_a_replacement_is_replaced_in_its_turn(core: ScriptedCore, desk: Client) -> None:
    old = desk.place("BTCUSDT", "sell", "1", order_type="stop_market", trigger_price="90")
    new = desk.replace(order_id=old.order_id, trigger_price="91")
    assert desk.replace(order_id=new.order_id, trigger_price="92").parent_order_id == new.order_id


def test_an_order_of_another_client_cannot_be_replaced(world: World, desk: Client) -> None:
    theirs = world.client("other").place("BTCUSDT", "buy", "1", "100")
    with pytest.raises(RpcError, match="NOT_OWNER"):
        desk.replace(order_id=theirs.order_id, price="101")
