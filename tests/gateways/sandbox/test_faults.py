"""The fault plan: a seed replays, kinds do not disturb each other, rates are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.sandbox.faults import Fault, FaultError, FaultPlan, parse_faults

pytestmark = pytest.mark.pure


@given(st.integers(0, 2**64 - 1))
def test_seed_replays(seed: int) -> None:
    plans = [FaultPlan(seed, {Fault.DROP: 0.3}) for _ in range(2)]
    assert [plans[0].happens(Fault.DROP) for _ in range(50)] == [plans[1].happens(Fault.DROP) for _ in range(50)]


def test_kind_does_not_move_another() -> None:
    alone = FaultPlan(7, {Fault.DROP: 0.3})
    beside = FaultPlan(7, {Fault.DROP: 0.3, Fault.DUPLICATE: 0.5})
    decided = []
    for _ in range(200):
        beside.first(Fault.DUPLICATE, Fault.DROP)
        decided.append(beside.happened[Fault.DROP])
    drops = []
    for _ in range(200):
        alone.happens(Fault.DROP)
        drops.append(alone.happened[Fault.DROP])
    assert decided == drops


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.5, 1.0])
def test_rate_is_kept(rate: float) -> None:
    plan = FaultPlan(1, {Fault.LOSE_ANSWER: rate})
    count = sum(plan.happens(Fault.LOSE_ANSWER) for _ in range(20_000))
    assert count == pytest.approx(20_000 * rate, abs=4 * (20_000 * rate * (1 - rate)) ** 0.5)


def test_what_is_left_out_never_happens() -> None:
    plan = FaultPlan(1, {Fault.DROP: 1.0})
    assert plan.first(Fault.DELAY, Fault.BAN) is None


def test_table_is_read() -> None:
    assert parse_faults(["drop=0.01", "lose_answer=1"]) == {Fault.DROP: 0.01, Fault.LOSE_ANSWER: 1.0}


@pytest.mark.parametrize(("text", "words"), [("lag=0.1", "no fault is called 'lag'"), ("drop=often", "NAME=RATE")])
def test_bad_table_is_refused(text: str, words: str) -> None:
    with pytest.raises(FaultError, match=words):
        parse_faults([text])


def test_rate_above_one_is_refused() -> None:
    with pytest.raises(FaultError, match="from 0"):
        FaultPlan(0, {Fault.DROP: 1.5})
