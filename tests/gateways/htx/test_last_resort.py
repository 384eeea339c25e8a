"""The kill switch and the doctor on the sandbox of HTX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateways.doctor import Finding, examine_venue
from gateways.kill_switch import KillSwitch
from gateways.sandbox.server import credentials_of
from gateways.venues import VENUES, Sandbox
from oms.config import load_settings
from oms.instruments import Instrument
from tests.gateways.htx.booth import SPOT, HtxBooth, on_booth
from tests.gateways.htx.test_linear_orders import elsewhere
from tests.gateways.htx.test_spot_orders import elsewhere as spot_order
from tests.gateways.test_kill_switch import Seconds


def sandbox_of(booth: HtxBooth, folder: Path) -> Sandbox:
    ca = folder / "ca.pem"
    ca.write_bytes(booth.sandbox.ca_pem)
    return Sandbox(booth.sandbox.port, ca)


async def examined(booth: HtxBooth, folder: Path, **changes: Any) -> dict[str, list[Finding]]:
    """The findings of the sandbox by check."""
    settings = load_settings(None, {"replay": {"file": ""}, "data_dir": str(folder)})
    number = max(each.id for each in settings.instruments) + 1
    instrument: Instrument = replace(booth.instrument, id=number, **changes)
    settings = replace(settings, instruments=(*settings.instruments, instrument))
    found: dict[str, list[Finding]] = {}
    venue = VENUES[booth.instrument.venue]
    for each in await examine_venue(venue, settings, sandbox_of(booth, folder), credentials=credentials_of(0)):
        found.setdefault(each.check, []).append(each)
    return found


def test_every_order_is_cancelled_and_what_stays_is_named(tmp_path: Path) -> None:
    @on_booth(is_open=False)
    async def body(booth: HtxBooth) -> None:
        for _ in range(12):
            await booth.exchange.contractPrivatePostV5TradeOrder(elsewhere())
        await booth.exchange.contractPrivatePostV5TradeOrder(elsewhere(type="market", price=None))
        seconds, said = Seconds(), list[str]()
        booth.side.limits.charge = lambda *_: {}  # type: ignore[method-assign]  # its seconds are others
        switch = KillSwitch(
            VENUES["htx_linear"],
            credentials_of(0),
            sandbox_of(booth, tmp_path),
            say=said.append,
            clock=seconds,
            sleep=seconds.sleep,
        )
        verdict = await switch.run()
        assert (verdict.is_clear, verdict.left, verdict.problem) == (True, (), ""), said
        assert verdict.ended >= 10
        assert [(each.side, each.qty) for each in verdict.positions] == [("long", "10.0")]
        assert not booth.account.open_orders
        assert seconds.now >= VENUES["htx_linear"].receive_window_s

    body()


def test_every_order_of_spot_is_cancelled(tmp_path: Path) -> None:
    @on_booth(instrument=SPOT, is_open=False)
    async def body(booth: HtxBooth) -> None:
        for number in range(3):
            order = spot_order(booth, **{"client-order-id": f"other{number}"})
            await booth.exchange.spotPrivatePostV1OrderOrdersPlace(order)
        seconds = Seconds()
        switch = KillSwitch(
            VENUES["htx_spot"],
            credentials_of(0),
            sandbox_of(booth, tmp_path),
            clock=seconds,
            sleep=seconds.sleep,
        )
        verdict = await switch.run()
        assert (verdict.is_clear, verdict.ended, verdict.left, verdict.problem) == (True, 3, (), "")
        assert not booth.account.open_orders

    body()


def test_account_of_spot_is_as_it_should_be(tmp_path: Path) -> None:
    @on_booth(instrument=SPOT, is_open=False)
    async def body(booth: HtxBooth) -> None:
        found = await examined(booth, tmp_path)
        assert {name: [each.level for each in rows] for name, rows in found.items()} == {
            "clock": ["ok"],
            "keys": ["ok"],
            "instruments": ["ok"],
        }

    body()


def test_account_is_as_it_should_be(tmp_path: Path) -> None:
    @on_booth(is_open=False)
    async def body(booth: HtxBooth) -> None:
        found = await examined(booth, tmp_path)
        assert {name: [each.level for each in rows] for name, rows in found.items()} == {
            "clock": ["ok"],
            "keys": ["ok"],
            "instruments": ["ok"],
            "position mode": ["ok"],
        }
        assert [each.level for each in (await examined(booth, tmp_path, tick="0.5"))["instruments"]] == ["refused"]

    body()


def test_keys_that_may_withdraw_or_not_trade_are_refused(tmp_path: Path) -> None:
    @on_booth(is_open=False)
    async def body(booth: HtxBooth) -> None:
        booth.side.permissions |= {"withdraw": True, "trade": False}
        booth.side.bound_to = ""
        found = await examined(booth, tmp_path)
        assert [each.level for each in found["keys"]] == ["ok", "refused", "refused", "warning"]

    body()
