"""The process of a venue's orders: over the bus, with the wallets and instruments of that venue."""

from __future__ import annotations

from pathlib import Path

from oms.records import CommandKind, ReportKind
from tests.gateways.conformance.cases import Case, every_venue
from tests.gateways.orders.test_process import Bus, command, drained, on_bus


@every_venue
def test_orders_of_the_bus_are_traded_at_the_venue_that_is_named(case: Case, tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        await bus.until("trades")
        told = {int(each["value"]) for each in drained(bus.core) if each["kind"] == ReportKind.BALANCE}
        assert told == {number for number, wallet in enumerate(bus.settings.wallets) if wallet.venue == case.name}
        instrument = bus.sandbox.venue.instrument
        terms = {"instrument": instrument.id, "version": instrument.version}
        px, qty = instrument.px_to_ticks("61000"), instrument.qty_to_lots("0.1")
        bus.orders.send(command(CommandKind.NEW, px=px, qty=qty, **terms))
        await bus.until("open_orders")
        bus.orders.send(command(CommandKind.CANCEL, px=px, qty=qty, **terms))
        await bus.end()
        assert [int(each["kind"]) for each in drained(bus.core) if each["order_id"]] == [
            ReportKind.ACCEPTED,
            ReportKind.CANCELLED,
        ]

    on_bus(tmp_path, body, recording=case.recording)
