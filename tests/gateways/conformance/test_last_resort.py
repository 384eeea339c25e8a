"""The kill switch and the doctor at every venue, through the unmodified ccxt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateways.credentials import Credentials
from gateways.doctor import examine_venue
from gateways.kill_switch import KillSwitch, Verdict
from gateways.sandbox.faults import Fault
from gateways.sandbox.htx.front import Front as HtxFront
from gateways.sandbox.okx.venue import Venue as OkxVenue
from gateways.sandbox.server import credentials_of
from gateways.venues import Sandbox, Venue, find_venue
from oms.config import load_settings
from oms.records import ReportKind
from tests.gateways.conformance.cases import Case, Stand, every_venue, on_stand, rows
from tests.gateways.sandbox.desk import defined


def row_of(case: Case) -> Venue:
    row = find_venue(case.venue)
    assert row is not None
    return row


def sandbox_of(stand: Stand, folder: Path) -> Sandbox:
    ca = folder / "ca.pem"
    ca.write_bytes(stand.sandbox.ca_pem)
    return Sandbox(stand.sandbox.port, ca)


async def killed(stand: Stand, folder: Path, credentials: Credentials | None = None) -> Verdict:
    """A kill switch's verdict; its time passes where it waits, and the exchange's does not."""
    now = 0.0
    if isinstance(stand.sandbox.venue, OkxVenue | HtxFront):
        stand.sandbox.venue.limits.charge = lambda *_: {}  # type: ignore[method-assign]  # of seconds that are others

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    switch = KillSwitch(
        row_of(stand.case),
        credentials or credentials_of(0),
        sandbox_of(stand, folder),
        say=lambda _line: None,
        clock=lambda: now,
        sleep=sleep,
    )
    return await switch.run()


@rows(None, Fault.LOSE_ANSWER, Fault.HTML)
def test_kill_switch_ends_every_order_through_what_goes_wrong(case: Case, fault: Fault | None, tmp_path: Path) -> None:
    @on_stand()
    async def body(stand: Stand) -> None:
        order_id = stand.place(1, stand.lots, stand.far)
        await stand.done(order_id, ReportKind.ACCEPTED)
        await stand.elsewhere(-1, stand.few, stand.instrument.px_to_ticks("63000"))
        if fault is not None:
            stand.once(fault, times=2)
        verdict = await killed(stand, tmp_path)
        assert (verdict.is_clear, verdict.ended, verdict.left, verdict.problem) == (True, 2, (), "")
        assert not stand.account.open_orders
        assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]

    body(case)


@every_venue
def test_kill_switch_with_wrong_keys_says_so(case: Case, tmp_path: Path) -> None:
    @on_stand()
    async def body(stand: Stand) -> None:
        verdict = await killed(stand, tmp_path, Credentials("0" * 64, "0" * 64, "0"))
        assert not verdict.is_clear
        assert "the keys are refused" in verdict.problem

    body(case)


@every_venue
def test_doctor_finds_a_venue_that_is_as_it_should_be(case: Case, tmp_path: Path) -> None:
    @on_stand()
    async def body(stand: Stand) -> None:
        found = await examined(stand, tmp_path)
        assert set(found.values()) == ({"ok", "warning"} if case.by else {"ok"})  # ccxt does not know all
        assert set(found) >= {"clock", "keys", "instruments"}
        assert ("position mode" in found) == row_of(case).has_positions
        if not case.by:
            stand.sandbox.venue.permissions.update(dict.fromkeys(stand.sandbox.venue.permissions, False))
            assert (await examined(stand, tmp_path))["keys"] != "ok"

    body(case)


@every_venue
def test_doctor_sees_another_grid(case: Case, tmp_path: Path) -> None:
    @on_stand()
    async def body(stand: Stand) -> None:
        assert (await examined(stand, tmp_path, tick="0.5"))["instruments"] == "refused"

    body(case)


async def examined(stand: Stand, folder: Path, **changes: Any) -> dict[str, str]:
    """The level of each finding, by check; of several, the last."""
    settings = load_settings(None, {"replay": {"file": ""}, "data_dir": str(folder)})
    settings, traded = defined(settings, stand.instrument)
    others = [each for each in settings.instruments if each is not traded]
    settings = replace(settings, instruments=(*others, replace(traded, **changes)))
    found = await examine_venue(row_of(stand.case), settings, sandbox_of(stand, folder), credentials=credentials_of(0))
    return {each.check: each.level for each in found}
