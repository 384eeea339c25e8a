"""Tables of orders show what their owners call them, and why they ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from oms.algorithms import read_algorithms
from oms.commands.orders import say_orders
from oms.commands.stored import Owners
from oms.records import ALGORITHM_CLIENT, EXCHANGE_CLIENT, ORDER_ID_COUNTER_BITS, STRATEGY_CLIENT_BASE
from rpc.algorithm_terms import AlgorithmTerms
from rpc.ledger import Ledger
from tests.rpc.conftest import make_settings
from tests.rpc.test_refusals import ORDER


def test_a_table_of_orders_has_their_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    say_orders([replace(ORDER, reason="PRICE_COLLAR"), replace(ORDER, client_order_id="b", state="live")])
    titles, refused, live = capsys.readouterr().out.splitlines()
    assert titles.endswith("state     reason")
    assert refused.endswith("rejected  PRICE_COLLAR")
    assert live.endswith("live")


def test_a_stored_order_is_shown_with_its_owner_and_the_owners_id(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    ledger = Ledger(settings.account_dir / "rpc")
    index = ledger.add_client("desk")
    order_id = ledger.new_order_id(index)
    ledger.add_order(index, "a", order_id, b"")
    ledger.keep_terms([(order_id, AlgorithmTerms.of(read_algorithms([])["best-limit"], [], []).record(order_id))])
    ledger.close()
    child = ALGORITHM_CLIENT << ORDER_ID_COUNTER_BITS | 3
    makers = STRATEGY_CLIENT_BASE << ORDER_ID_COUNTER_BITS | 7
    lost = (index + 1) << ORDER_ID_COUNTER_BITS | 1
    owners = Owners(settings, [order_id, makers, lost, child], {child: order_id})
    assert owners.cells(order_id) == ["desk", "a"]
    assert owners.fields(order_id) == {"owner": "desk", "client_order_id": "a", "algorithm": "best-limit"}
    assert owners.fields(makers) == {"owner": "maker", "client_order_id": None, "algorithm": None}
    assert owners.cells(child) == ["desk", str(child)]
    assert owners.fields(child) == {"owner": "desk", "client_order_id": None, "algorithm": None}
    assert owners.cells(makers) == ["maker", str(makers)]
    liquidating = EXCHANGE_CLIENT << ORDER_ID_COUNTER_BITS | 1
    assert owners.cells(liquidating) == ["exchange", str(liquidating)]
    assert owners.cells(lost) == [f"client {index + 1}", str(lost)]
