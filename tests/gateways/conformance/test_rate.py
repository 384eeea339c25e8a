"""As many orders as the venue takes, and none refused for being too many."""

from __future__ import annotations

from collections import Counter

import pytest

from gateways.orders.outcomes import Verdict
from oms.records import ReportKind, TimeInForce
from tests.gateways.conformance.cases import Case, Stand, every_known_venue, on_stand
from tests.gateways.orders.shared_clock import SharedClock


def run_windows(case: Case, count: int) -> None:
    """Ask for two more orders than the venue takes in so many of its intervals, those of an interval
    and half of it at once."""
    most, interval_s = case.orders

    @on_stand(SharedClock, deadline_s=20.0 + count * most * 0.03)
    async def body(stand: Stand) -> None:
        stand.clock.share(stand.booth)
        stand.venue.patience_s = None
        before, started_s = len(stand.reports), stand.clock.now_s()
        placed, total = 0, count * most + 2
        while placed < total:
            some = min(most * 3 // 2, total - placed)
            for _ in range(some):
                stand.place(1, stand.lots, stand.far, time_in_force=TimeInForce.IOC)
            placed += some
            enough = before + 2 * placed  # of each order its acceptance and its end
            await stand.until(lambda enough=enough: len(stand.reports) >= enough)
        kinds = Counter(int(report["kind"]) for report in stand.reports[before:])
        assert kinds == {ReportKind.ACCEPTED: total, ReportKind.EXPIRED: total}
        assert stand.gateway.asking.outcomes[Verdict.NOT_ACCEPTED] == 0
        assert stand.clock.now_s() - started_s > interval_s * count

    body(case)


@every_known_venue
def test_orders_wait_for_the_exchanges_windows(case: Case) -> None:
    run_windows(case, 1)


@every_known_venue
@pytest.mark.thorough
def test_ten_thousand_orders_are_taken_at_the_exchanges_rate(case: Case) -> None:
    run_windows(case, 10_000 // case.orders[0] + 1)
