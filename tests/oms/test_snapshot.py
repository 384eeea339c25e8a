"""Snapshots: what they hold comes back, by name; what is wrong with one is never taken for right."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from oms import durable, snapshot
from oms.core.state import ALGORITHM, new_state
from oms.durable import differences
from oms.snapshot import (
    Definitions,
    Place,
    SnapshotError,
    capture,
    keep_newest,
    lay_over,
    read_snapshot,
    restore,
    snapshots,
    write_snapshot,
)
from tests.full_disk import files_bounded_to
from tests.oms.core.builders import Rig
from tests.oms.journalled import SESSION, random_steps, run

RATES = {"option_initial_rate": 15_000_000, "option_least_rate": 10_000_000, "option_maintenance_rate": 7_500_000}
PLACE = Place(SESSION, 2, 77, 31)
DEFINITIONS = Definitions(account="paper", instruments={"0": {"name": "BTCUSDT.binance_usdm"}}, strategies=("a",))


@pytest.fixture(scope="module")
def rig() -> Rig:
    rig = Rig(external=False, latency_ns=1_500_000)
    run(rig, random_steps(1, 200))
    return rig


@pytest.mark.parametrize("whole", [False, True])
def test_snapshot_gives_back_what_it_was_given(tmp_path: Path, rig: Rig, whole: bool) -> None:
    path = write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS, whole=whole, clean=True))
    found = read_snapshot(path)
    assert (found.place, found.whole, found.clean, found.definitions) == (PLACE, whole, True, DEFINITIONS)
    again = new_state()
    restore(again, found, definitions=True)
    assert list(differences(rig.st, again, every_input=whole)) == []


def test_new_session_keeps_its_own_definitions(tmp_path: Path, rig: Rig) -> None:
    path = write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS))
    again = Rig(limits={"max_open_orders": 3})
    restore(again.st, read_snapshot(path))
    assert again.s["limits"][0, 0]["max_open_orders"] == 3
    assert again.s["positions"].tobytes() == rig.s["positions"].tobytes()
    assert again.s["orders"].tobytes() == rig.s["orders"].tobytes()


def test_loaded_algorithms_stay_with_their_addresses(tmp_path: Path, rig: Rig) -> None:
    theirs = np.array([(5, 0, 111), (6, 0, 222)], ALGORITHM)
    before, again = Rig(), Rig()
    before.s["algorithms"][:2], before.s["algorithms_used"] = theirs, 2
    path = write_snapshot(tmp_path, capture(before.st, PLACE, DEFINITIONS, whole=True))
    ours = np.array([(7, 0, 333)], ALGORITHM)
    again.s["algorithms"][:1], again.s["algorithms_used"] = ours, 1
    restore(again.st, read_snapshot(path), definitions=True)
    assert again.s["algorithms"][:1].tobytes() == ours.tobytes()
    assert again.s["algorithms_used"] == 1


def test_no_flipped_byte_passes(tmp_path: Path, rig: Rig) -> None:
    path = write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS))
    content = path.read_bytes()
    random = Random(3)
    for at in [*range(64), *(random.randrange(len(content)) for _ in range(200))]:
        if 28 <= at < 32:
            continue  # what is left free in the head
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :])
        with pytest.raises(SnapshotError, match=str(path)):
            read_snapshot(path)


def test_no_cut_snapshot_passes(tmp_path: Path, rig: Rig) -> None:
    path = write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS))
    content = path.read_bytes()
    for size in [*range(40), len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(SnapshotError, match="is damaged"):
            read_snapshot(path)


@pytest.mark.parametrize(
    ("constant", "words"), [("SNAPSHOT_VERSION", "version 9"), ("WIRE_VERSION", "records of wire version 9")]
)
def test_snapshot_of_a_newer_zoms_is_refused(
    tmp_path: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch, constant: str, words: str
) -> None:
    monkeypatch.setattr(snapshot, constant, 9)
    path = write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS))
    monkeypatch.undo()
    with pytest.raises(SnapshotError, match=f"has {words}, as a newer zoms writes it; this zoms reads up to 2"):
        read_snapshot(path)


def test_full_disk_leaves_no_snapshot(tmp_path: Path, rig: Rig) -> None:
    with files_bounded_to(10_000), pytest.raises(SnapshotError, match="cannot be written"):
        write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS))
    assert list(tmp_path.iterdir()) == []


def test_columns_are_found_by_name_whatever_else_a_version_has() -> None:
    old = np.zeros(3, [("qty", "i4"), ("gone", "i8"), ("px", "i8")])
    old["qty"], old["px"] = [1, 2, 3], [4, 5, 6]
    new = np.full(4, 9, [("px", "i8"), ("qty", "i8"), ("added", "i8")])
    lay_over(new, old, None)
    assert new["qty"].tolist() == [1, 2, 3, 9]
    assert new["px"].tolist() == [4, 5, 6, 9]
    assert new["added"].tolist() == [9] * 4


def test_table_that_an_older_zoms_did_not_have_keeps_its_first_values(
    tmp_path: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "SCRATCH", durable.SCRATCH | {"instrument_states", "next_expiry"})
    path = write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS))
    monkeypatch.undo()
    again = new_state()
    first = again[0]["instrument_states"].tobytes()
    restore(again, read_snapshot(path), definitions=True)
    assert again[0]["instrument_states"].tobytes() == first
    assert again[0]["orders"].tobytes() == rig.s["orders"].tobytes()


def test_what_open_orders_count_is_worked_out_where_an_older_zoms_did_not_keep_it(tmp_path: Path, rig: Rig) -> None:
    found = read_snapshot(write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS)))
    orders = found.tables["orders"]
    assert orders["risk_value"].any()
    older = orders[[name for name in orders.dtype.names or () if name != "risk_value"]]
    again = new_state()
    restore(again, found._replace(tables={**found.tables, "orders": older}), definitions=True)
    assert again["orders"]["risk_value"].tolist() == rig.st["orders"]["risk_value"].tolist()


def test_options_of_an_older_zoms_have_the_rates_that_all_had(tmp_path: Path) -> None:
    rig = Rig()
    for name, value in RATES.items():
        rig.s["instruments"][name][3] = rig.s["pending_definitions"][name][3] = value
    rig.s["instruments"]["option_kind"][3] = rig.s["pending_definitions"]["option_kind"][3] = 1
    found = read_snapshot(write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS)))
    tables = dict(found.tables)
    for table in ("instruments", "pending_definitions", "former_definitions"):
        rows = tables[table]
        tables[table] = rows[[name for name in rows.dtype.names or () if name not in RATES]]
    again = new_state()
    restore(again, found._replace(tables=tables), definitions=True)
    for name in RATES:
        for table in ("instruments", "pending_definitions", "former_definitions"):
            assert again[0][table][name].tolist() == rig.s[table][name].tolist()


def test_indices_of_another_size_are_made_anew(tmp_path: Path, rig: Rig) -> None:
    path = write_snapshot(tmp_path, capture(rig.st, PLACE, DEFINITIONS))
    found = read_snapshot(path)
    for name in ("order_index", "trade_index"):
        found.tables[name] = found.tables[name][: len(found.tables[name]) // 2]
    again = Rig()
    restore(again.st, found, definitions=True)
    used = int(rig.s["orders_used"])
    assert sorted(again.s["order_index"][again.s["order_index"] != 0].tolist()) == list(range(1, used + 1))
    assert np.count_nonzero(again.s["trade_index"]) == rig.s["trade_counter"]


def test_newest_snapshots_are_kept_and_the_first_of_each_session(tmp_path: Path) -> None:
    st = new_state()
    places = [Place(session, 0, number, 0) for session in (1, 2, 3) for number in (0, 5, 9)]
    paths = [write_snapshot(tmp_path, capture(st, place, DEFINITIONS)) for place in places]
    (tmp_path / "00.partial").touch()
    keep_newest(tmp_path, 2, {2, 3})
    assert snapshots(tmp_path) == [paths[8], paths[7], paths[6], paths[3]]
    assert not list(tmp_path.glob("*.partial"))
