"""The process of a venue's orders: over the bus, with the wallets and instruments of that venue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oms.records import CommandKind, ReportKind
from tests.gateways.conformance.cases import Case, every_venue
from tests.gateways.orders.test_process import Bus, command, drained, on_bus


async def reports_until(bus: Bus, reached: Callable[[list[Any]], bool]) -> list[Any]:
    """The reports that come until those so far are enough."""
    found: list[Any] = []
    async with asyncio.timeout(20):
        while not reached(found):
            found += drained(bus.core)
            await asyncio.sleep(0)
    return found


def wallets(reports: list[Any]) -> set[int]:
    return {int(each["value"]) for each in reports if each["kind"] == ReportKind.BALANCE}


@every_venue
def test_orders_of_the_bus_are_traded_at_the_venue_that_is_named(case: Case, tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        of_venue = {number for number, wallet in enumerate(bus.settings.wallets) if wallet.venue == case.venue}
        told = await reports_until(bus, lambda found: len(wallets(found)) == len(of_venue))
        assert wallets(told) == of_venue
        await bus.until("trades")
        instrument = bus.instrument
        px, qty = instrument.px_to_ticks("61000"), instrument.qty_to_lots(case.tenth)
        terms = {"instrument": instrument.id, "version": instrument.version, "px": px, "qty": qty}
        for kind, answer in ((CommandKind.NEW, ReportKind.ACCEPTED), (CommandKind.CANCEL, ReportKind.CANCELLED)):
            bus.orders.send(command(kind, **terms))
            found = await reports_until(bus, lambda found: any(each["order_id"] for each in found))
            assert [int(each["kind"]) for each in found if each["order_id"]] == [answer]
        await bus.end()

    on_bus(tmp_path, body, recording=case.recording, instrument=case.instrument, traded=case.traded)
