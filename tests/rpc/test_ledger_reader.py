"""Names of orders are read beside the server that writes them: from its logs and from its database."""

from __future__ import annotations

from pathlib import Path

from oms.records import ORDER_ID_COUNTER_BITS
from rpc.ledger import Ledger
from rpc.ledger_reader import OrderName, order_names


def test_names_are_found_while_they_are_logged_and_when_they_have_been_moved(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    index = ledger.add_client("desk")
    first = ledger.new_order_id(index)
    ledger.add_order(index, "a", first, b"")
    ledger.commit()
    second = ledger.new_order_id(index)
    ledger.add_order(index, "b", second, b"")
    ledger.add_order(index, "taken-back", ledger.new_order_id(index), b"")
    ledger.forget_orders([second + 1])
    ledger.commit()
    strategys = 1 << ORDER_ID_COUNTER_BITS
    expected = {first: OrderName("desk", "a"), second: OrderName("desk", "b")}
    asked = [strategys, first, second, second + 1]
    assert order_names(tmp_path, asked) == expected
    ledger.close()
    assert order_names(tmp_path, asked) == expected


def test_an_account_without_a_ledger_has_no_names(tmp_path: Path) -> None:
    assert order_names(tmp_path, [1]) == {}
