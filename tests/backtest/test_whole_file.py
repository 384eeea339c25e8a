"""Files of results: whole or not there, whatever becomes of the disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from backtest.execution_plot import save_plot
from backtest.tear_sheet import save_tear_sheet
from backtest.whole_file import FileError, check_writable, whole_file
from tests.backtest.test_execution_plot import market, order
from tests.backtest.test_performance import long_performance
from tests.full_disk import files_bounded_to

pytestmark = pytest.mark.pure

ROOM_BYTES: Final = 2_000
"""What a file may take, as on a disk that is nearly full."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.txt", "report") as partial:
        partial.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_an_error_on_the_way_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with suppress(KeyError), whole_file(tmp_path / "a.txt", "report") as partial:
        partial.write_text("new")
        raise KeyError
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_is_said_with_the_files_name(tmp_path: Path) -> None:
    said = r"report .*a\.txt cannot be written: No space left on device"
    with pytest.raises(FileError, match=said), whole_file(tmp_path / "a.txt", "report"):
        Path("/dev/full").write_text("new")


@pytest.mark.parametrize("name", ["sheet.html", "sheet.png"])
def test_a_tear_sheet_that_has_no_room_leaves_nothing(tmp_path: Path, name: str) -> None:
    performance = long_performance()
    said = rf"^report {tmp_path}/{name} cannot be written: File too large$"
    with pytest.raises(FileError, match=said), files_bounded_to(ROOM_BYTES):
        save_tear_sheet(performance, tmp_path / name)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["plot.png", "plot.svg"])
def test_a_plot_that_has_no_room_leaves_the_one_before(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("before")
    with (
        pytest.raises(FileError, match=rf"^plot {tmp_path}/{name} cannot be written: File too large$"),
        files_bounded_to(ROOM_BYTES),
    ):
        save_plot(order(), market(), tmp_path / name)
    assert (tmp_path / name).read_text() == "before"
    assert names(tmp_path) == [name]


def test_what_stands_read_only_is_not_put_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept.html"
    kept.write_text("old")
    monkeypatch.setattr("os.access", lambda path, mode: path != kept)  # to the superuser nothing is read-only
    with pytest.raises(FileError, match=f"report {kept} cannot be written: {kept} is read-only, name another file"):
        check_writable(kept, "report")
