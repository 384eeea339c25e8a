"""The examples of docs/journal.md and docs/store.md run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from oms.config import load_settings
from oms.journal import Direction, EventBlock, Journal
from oms.records import EventKind, RecordKind
from oms.store.embedded import EmbeddedStore
from tests.oms.store.support import Trading

DOCS = Path(__file__).resolve().parents[3] / "docs"


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def run(script: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "ZOMS_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_journal_example_prints_every_entry(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal", 5, "os", "paper")
    journal.append(RecordKind.EVENT, Direction.EVENT, Trading(1).events(3))
    journal.close()
    plain, fast = python_blocks("journal.md")
    assert run(plain + fast, tmp_path) == [
        "0 128 3 1",
        "1 4 3 3",
        "2 129 3 0",
        "True None",
        "00000000000000000005.000000.journal 3 3",
    ]


def test_the_store_example_prints_the_newest_fills(tmp_path: Path) -> None:
    settings = load_settings(overrides={"replay": {"file": ""}, "data_dir": str(tmp_path)})
    store = EmbeddedStore(settings.store_dir, settings.account_names, settings.definitions())
    store.open()
    events = Trading(1).events(300)
    store.write([EventBlock(5, events)])
    store.close()
    (example,) = python_blocks("store.md")
    fills = events[(events["kind"] == EventKind.ORDER_FILLED) & (events["instrument"] == 0)]
    assert [line.split()[0] for line in run(example, tmp_path)] == [str(ts) for ts in fills["ts"][:-11:-1].tolist()]
