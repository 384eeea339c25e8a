"""The doctor on the sandbox of OKX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateways.doctor import Finding, examine_venue
from gateways.sandbox.server import credentials_of
from gateways.venues import VENUES, Sandbox
from oms.config import load_settings
from tests.gateways.okx.booth import SWAP, OkxBooth, on_booth


async def examined(booth: OkxBooth, folder: Path, **given: Any) -> dict[str, list[Finding]]:
    """The findings of the sandbox by check."""
    ca = folder / "ca.pem"
    ca.write_bytes(booth.sandbox.ca_pem)
    settings = load_settings(None, {"replay": {"file": ""}, "data_dir": str(folder)})
    swap = replace(SWAP, id=max(each.id for each in settings.instruments) + 1)
    settings = replace(settings, instruments=(*settings.instruments, swap))
    sandbox = Sandbox(booth.sandbox.port, ca)
    found: dict[str, list[Finding]] = {}
    for each in await examine_venue(VENUES["okx"], settings, sandbox, credentials=credentials_of(0), **given):
        found.setdefault(each.check, []).append(each)
    return found


def test_keys_that_may_withdraw_or_not_trade_are_refused(tmp_path: Path) -> None:
    @on_booth(is_open=False)
    async def body(booth: OkxBooth) -> None:
        booth.side.permissions |= {"withdraw": True, "trade": False}
        booth.side.bound_to = ""
        found = await examined(booth, tmp_path)
        assert [each.level for each in found["keys"]] == ["ok", "refused", "refused", "warning"]
        found = await examined(booth, tmp_path, may_withdraw=True)
        assert [each.level for each in found["keys"]] == ["ok", "refused", "warning", "warning"]

    body()
