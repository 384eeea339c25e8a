"""Definitions through their versions: kept for good, found by version, and never two of one version."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import force_setattr, replace

from oms.config import ConfigError, load_settings, write_session
from oms.definitions import GRID, Definitions, add_definitions, read_definitions
from oms.instruments import Instrument
from oms.kept_versions import VersionError, keep_versions
from tests.oms.core.builders import PERPETUAL, Rig

FIRST = Instrument(id=4, symbol="BTCUSDT", venue="somewhere", kind="linear_perpetual", tick="0.1", lot="0.001")
SECOND = replace(FIRST, version=2, tick="0.01")


def test_version_0_is_the_one_in_force() -> None:
    known = Definitions([FIRST])
    assert known.of(4, 0) is known.of(4, 1) is known.in_force(4) is FIRST
    assert known.of(4, 2) is known.of(5, 0) is known.in_force(5) is None


def test_a_version_that_is_added_later_is_found_and_can_be_put_in_force(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    known = Definitions([FIRST], path)
    assert known.of(4, 2) is None
    add_definitions(path, [SECOND])
    assert known.of(4, 2) == SECOND
    assert known.in_force(4) == FIRST
    known.put_in_force(4, 2)
    known.put_in_force(4, 3)
    assert known.in_force(4) == known.of(4, 0) == SECOND
    assert known.of(4, 1) == FIRST


def test_versions_of_the_past_outlive_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    add_definitions(path, [FIRST])
    add_definitions(path, [SECOND])
    assert read_definitions(path) == (FIRST, SECOND)
    assert Definitions([SECOND], path).of(4, 1) == FIRST


@pytest.mark.parametrize("name", GRID)
def test_two_definitions_of_one_version_are_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    path = tmp_path / "definitions.json"
    add_definitions(path, [FIRST])
    other = replace(FIRST)
    force_setattr(other, name, "other")
    with pytest.raises(ConfigError, match=f"has {name} .* and records of its version 1 are counted in {name} .*raise"):
        add_definitions(path, [other])


def test_what_a_version_does_not_stand_for_may_change(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    add_definitions(path, [FIRST])
    add_definitions(path, [replace(FIRST, maker_fee_rate="0.5", min_notional="7")])
    assert read_definitions(path) == (FIRST,)


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    path.write_text("[1]")
    with pytest.raises(ConfigError, match=r"definitions .*definitions\.json cannot be read"):
        Definitions([], path).of(4, 2)


def test_a_session_adds_its_definitions_and_refuses_a_contradiction(tmp_path: Path) -> None:
    settings = load_settings(overrides={"replay": {"file": "x"}, "data_dir": str(tmp_path)})
    write_session(settings)
    assert {each.symbol for each in read_definitions(settings.definitions_file)} == {"BTCUSDT"}
    (first, *others) = settings.instruments
    coarser = replace(settings, instruments=(replace(first, tick="1"), *others))
    with pytest.raises(ConfigError, match="raise its version"):
        write_session(coarser)
    write_session(replace(settings, instruments=(replace(first, tick="1", version=2), *others)))


def test_version_in_force_stays_so_though_the_settings_have_come_to_name_the_base_since() -> None:
    second = replace(PERPETUAL, version=2, tick="0.2")
    past, names = Rig(instruments=(PERPETUAL,)), {PERPETUAL.id: "BTCUSDT.binance_usdm"}
    past.definitions(second)
    assert past.s["instruments"]["version"][0] == 2
    known = (PERPETUAL, second)

    named = Rig(instruments=(replace(PERPETUAL, base="BTC"),))
    assert keep_versions(named.st, past.st, names, known) == [PERPETUAL.id]
    assert named.s["instruments"]["version"][0] == 2

    another = Rig(instruments=(replace(PERPETUAL, lot="0.002"),))
    with pytest.raises(VersionError, match="has been in version 2"):
        keep_versions(another.st, past.st, names, known)
