"""Users' risk rules: what they may refuse, and what happens when one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.compiled import compile_entries
from oms.records import EventKind, OrderState, Reason, ReportKind
from strategies.loader import StrategyError, define_rule, load_rule
from tests.oms.core.builders import (
    BID_PX,
    Records,
    Rig,
    amend,
    depth,
    fill,
    new_order,
    only,
    reason_of,
    report,
    snapshot,
)

pytestmark = pytest.mark.pure

SAMPLES = Path(__file__).parents[2] / "strategies" / "samples"
RULES = SAMPLES / "rules"
BURST = SAMPLES / "burst.py"
WATCH = SAMPLES / "watch.py"


def market(*rules: str) -> Rig:
    compile_entries()
    rig = Rig()
    rig.rules = [load_rule(RULES / f"{name}.py") for name in rules]  # type: ignore[attr-defined]
    for rule in rig.rules:  # type: ignore[attr-defined]
        define_rule(rig.st, rule)
    return rig


def asked(rig: Rig, *commands: Records) -> list[Reason]:
    return [reason_of(rig.commands(each)) for each in commands]


def test_rule_refuses_what_it_will_not_have() -> None:
    rig = market("odd_lots")
    rig.open_market()
    assert asked(rig, new_order(1, qty=11), new_order(2, qty=12)) == [Reason.RULE_REFUSED, Reason.NONE]
    rig.reports(report(ReportKind.ACCEPTED, 2))
    assert asked(rig, amend(2, qty=13), amend(2, qty=14)) == [Reason.RULE_REFUSED, Reason.NONE]
    assert rig.s["rules"][0]["refusals"] == 2


def test_every_rule_is_asked() -> None:
    rig = market("odd_lots", "broken")
    rig.open_market()
    assert asked(rig, new_order(1, qty=11), new_order(2, qty=12), new_order(3, qty=14)) == [
        Reason.RULE_REFUSED,
        Reason.NONE,
        Reason.NONE,
    ]


def test_rule_that_fails_refuses_a_clients_order_and_nothing_else_happens() -> None:
    rig = market("broken")
    rig.open_market()
    assert asked(rig, new_order(1, qty=13), new_order(2, qty=12)) == [Reason.RULE_FAILED, Reason.NONE]
    assert rig.s["rules"][0]["failures"] == 1
    assert not rig.s["strategies"]["halted"].any()


def test_rule_that_fails_halts_only_the_strategy_that_asked_and_only_after_its_callback() -> None:
    rig = market("broken")
    failing = rig.add(BURST, 0, orders=3, qty=13)
    other = rig.add(BURST, 0, orders=3, qty=12)
    rig.open_market(1)
    events = rig.ticks(snapshot(0, {BID_PX: 100}, {BID_PX + 1: 100}))
    halted = only(events, EventKind.STRATEGY_HALTED)
    assert (halted["strategy"], halted["reason"]) == (failing, Reason.RULE_FAILED)
    refused = events[events["kind"] == EventKind.ORDER_REFUSED]
    assert len(refused) == 3
    assert refused["seq"].max() < halted["seq"]
    assert rig.s["strategies"][other]["halted"] == 0
    assert rig.s["strategies"][other]["memory"][1] == 3
    rig.ticks(depth(1, BID_PX - 5, 10))
    assert rig.s["strategies"][failing]["halted"] == 1


def test_halted_strategys_orders_are_cancelled() -> None:
    rig = market("broken")
    rig.add(WATCH, 0)
    rig.open_market()
    rig.commands(new_order(1, qty=12, strategy=0), new_order(2, qty=12))
    assert asked(rig, new_order(3, qty=13, strategy=0)) == [Reason.RULE_FAILED]
    assert rig.s["strategies"][0]["halted"] == 1
    assert (rig.state(1), rig.state(2)) == (OrderState.PENDING_CANCEL, OrderState.PENDING_NEW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "does not define check_order"),
        ("def check_order(st):\n    pass\n", "three arguments"),
        ("def check_order(st, number, command\n", "SyntaxError"),
    ],
)
def test_file_that_is_no_rule_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(StrategyError, match=f"rule mine.py.*{message}"):
        load_rule(path)


def test_rule_file_that_is_not_there() -> None:
    with pytest.raises(StrategyError, match="does not exist"):
        load_rule(Path("nowhere.py"))


def test_rule_of_the_documents_does_what_they_say(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "risk.md").read_text()
    path = tmp_path / "documented.py"
    path.write_text(page.split("<!-- rule -->\n```python\n")[1].split("```")[0])
    rig = market()
    rule = load_rule(path)
    define_rule(rig.st, rule)
    rig.open_market()
    assert asked(rig, new_order(1, qty=51), new_order(2, -1, qty=50)) == [Reason.RULE_REFUSED, Reason.NONE]
    rig.reports(fill(2, 50, BID_PX, side=-1, trade_id=1))
    assert asked(rig, new_order(3, -1), new_order(4, qty=50)) == [Reason.RULE_REFUSED, Reason.NONE]
