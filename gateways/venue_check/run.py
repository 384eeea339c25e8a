"""Runs the checks of a venue, and keeps the proof where all have passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from gateways.credentials import Credentials
from gateways.live.client import DEFAULT_POLICY, Policy
from gateways.orders.outcomes import REQUEST_ERRORS, told_text
from gateways.proof import Proof, ccxt_version, write_proof
from gateways.venue_check.bench import PATIENCE_S, Bench, CheckError, NotHereError, on_bench
from gateways.venue_check.checks import AT_THE_END, CHECKS, Check
from gateways.venue_check.place import Place
from oms.instruments import Instrument

Level = Literal["ok", "failed", "not here"]


class Verdict(msgspec.Struct, frozen=True):
    """What has come of one check."""

    check: str
    level: Level
    text: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of all of them."""

    venue: str
    where: str
    instrument: str
    verdicts: list[Verdict]
    has_passed: bool
    proof: str | None = None
    """The file that says so; None: none was written."""


async def try_venue(
    place: Place,
    instrument: Instrument,
    credentials: Credentials,
    tell: Callable[[Verdict], None],
    *,
    patience_s: float = PATIENCE_S,
    policy: Policy = DEFAULT_POLICY,
) -> Result:
    """Run every check, whatever became of those before; orders that it has placed are cancelled however it ends.

    Parameters
    ----------
    tell
        Takes each verdict as soon as there is one.

    Raises
    ------
    ImportError, CredentialsError, ConfigError
        When nothing can be tried.
    """
    verdicts: list[Verdict] = []

    async def run(check: Check) -> None:
        verdict = await _verdict(check, bench)
        verdicts.append(verdict)
        tell(verdict)

    async with on_bench(place, instrument, credentials, patience_s=patience_s, policy=policy) as bench:
        try:
            for check in CHECKS:
                await run(check)
        finally:
            await run(AT_THE_END)
    return Result(
        venue=place.venue.name,
        where=place.where.value,
        instrument=instrument.symbol,
        verdicts=verdicts,
        has_passed=all(each.level != "failed" for each in verdicts),
    )


def keep_proof(result: Result, place: Place, folder: Path) -> Result:
    """Write the proof of a result that is one."""
    if not (result.has_passed and place.proves):
        return result
    checks = tuple(each.check for each in result.verdicts)
    proof = Proof(venue=result.venue, ts=time.time_ns(), ccxt=ccxt_version(), checks=checks)
    return msgspec.structs.replace(result, proof=str(write_proof(folder, proof)))


async def _verdict(check: Check, bench: Bench) -> Verdict:
    try:
        return Verdict(check.name, "ok", await check.run(bench))
    except NotHereError as error:
        return Verdict(check.name, "not here", str(error))
    except CheckError as error:
        return Verdict(check.name, "failed", str(error))
    except REQUEST_ERRORS as error:
        return Verdict(check.name, "failed", told_text(error))
