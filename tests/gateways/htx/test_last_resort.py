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
        for terms in (
            {"type": "trigger", "trigger_price": "50000"},
            {"type": "sl", "sl_trigger_price": "70000"},
            {"type": "tp", "tp_trigger_price": "50000", "tp_type": "limit", "tp_order_price": "50000"},
        ):
            await booth.exchange.contractPrivatePostV5AlgoOrder(elsewhere(price=None, **terms))
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
        assert verdict.ended == 10 + 3  # a list of open orders has ten rows
        assert not booth.side.conditionals.are_open
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
        stop = {"type": "buy-stop-limit", "stop-price": "70000", "price": "70100", "operator": "gte"}
        await booth.exchange.spotPrivatePostV1OrderOrdersPlace(spot_order(booth, **stop))
        for order_type in ("market", "limit"):
            await booth.exchange.v2PrivatePostAlgoOrders(conditional(booth, order_type))
        seconds = Seconds()
        booth.sandbox.venue.limits.charge = lambda *_: {}  # type: ignore[attr-defined]  # its seconds are others
        switch = KillSwitch(
            VENUES["htx_spot"],
            credentials_of(0),
            sandbox_of(booth, tmp_path),
            clock=seconds,
            sleep=seconds.sleep,
        )
        verdict = await switch.run()
        assert (verdict.is_clear, verdict.ended, verdict.left, verdict.problem) == (True, 3 + 1 + 2, (), "")
        assert not booth.account.open_orders
        assert not booth.sandbox.venue.needs_each_message

    body()


def conditional(booth: HtxBooth, order_type: str) -> dict[str, str]:
    """A conditional order that another client places."""
    order = {"accountId": "1528640", "symbol": booth.instrument.symbol, "orderSide": "sell", "orderType": order_type}
    priced = {"orderPrice": "49000"} if order_type == "limit" else {}
    return {**order, **priced, "orderSize": "0.01", "stopPrice": "50000", "clientOrderId": f"waits-{order_type}"}


def test_keys_that_may_withdraw_or_not_trade_are_refused(tmp_path: Path) -> None:
    @on_booth(is_open=False)
    async def body(booth: HtxBooth) -> None:
        booth.side.permissions |= {"withdraw": True, "trade": False}
        booth.side.bound_to = ""
        found = await examined(booth, tmp_path)
        assert [each.level for each in found["keys"]] == ["ok", "refused", "refused", "warning"]

    body()
