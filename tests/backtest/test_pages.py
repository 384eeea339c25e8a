"""The Python on the pages about backtests and exchange models, run as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from backtest.execution_plot import LEGEND
from backtest.metrics import METRICS
from backtest.optimise.folds import KINDS
from backtest.optimise.pruning import PRUNERS
from backtest.optimise.samplers import SAMPLERS
from oms.assembly import build_core
from oms.config import load_settings
from oms.exchange_model import load_functions, load_model, use_model
from oms.records import OrderState, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import SIDES, Venue, mirrored_book
from tests.docs.pages import ROOT, blocks

PAGE: Final = ROOT / "docs/matching.md"


def venue_with(folder: Path, **files: str) -> Venue:
    """A venue with models of the page's, each loaded from a file as settings name it."""
    loaded = load_model("displayed")
    for kind, text in files.items():
        file = folder / f"my_{kind}.py"
        file.write_text(text)
        loaded |= load_functions(kind, str(file))
    venue = Venue()
    use_model(venue.st, loaded)
    venue.kept_alive = loaded
    return venue


@pytest.fixture
def touch(tmp_path: Path) -> Venue:
    """A venue with the example model of docs/matching.md."""
    return venue_with(tmp_path, matching=blocks(PAGE, "python")[0])


def test_the_examples_are_as_short_as_is_said() -> None:
    model, queue = (len(block.splitlines()) for block in blocks(PAGE, "python"))
    assert model <= 30
    assert queue <= 12


@pytest.mark.pure
@SIDES
def test_the_example_queue_takes_half_of_a_cancel_from_ahead(tmp_path: Path, side: int) -> None:
    venue = venue_with(tmp_path, queues=blocks(PAGE, "python")[1])
    mirrored_book(venue, side, {1: 100}, {1: 10})
    order = venue.submit(side, 1000 - side, 5)
    venue.show((side, 1000 - side, 150))
    venue.show((side, 1000 - side, 130))
    assert venue.st[0]["model"]["orders"]["queue_ahead"][0] == 90
    venue.trade(-side, 1000 - side, 92)
    assert venue.filled(order) == 2
    check_model(venue.st)


def test_the_settings_choose_both_files(tmp_path: Path) -> None:
    names = {}
    for name, text in zip(("model", "queue"), blocks(PAGE, "python"), strict=True):
        (tmp_path / f"my_{name}.py").write_text(text)
        names[name] = f"my_{name}.py"
    file = tmp_path / "zoms.toml"
    file.write_text("".join(f'matching.{name} = "{value}"\n' for name, value in names.items()))
    chosen = load_settings(file, {"replay": {"file": "none"}})
    core = build_core(chosen)
    assert set(core.model) == {"on_request", "on_depth", "on_trade", "on_level", "on_margin", "on_stop", "on_price"}
    assert [chosen.matching.model, chosen.matching.queue] == [str(tmp_path / name) for name in names.values()]


@pytest.mark.pure
@SIDES
def test_the_example_model_does_what_the_page_says(touch: Venue, side: int) -> None:
    mirrored_book(touch, side, {1: 10}, {1: 1})
    taker = touch.submit(side, 1000 + side, 50)
    assert touch.fills(taker) == [(1000 + side, 50)]
    resting = touch.submit(side, 1000, 50)
    immediate = touch.submit(side, 1000, 50, TimeInForce.IOC)
    assert touch.state(immediate) is OrderState.EXPIRED
    moved = touch.submit(side, 1000 - side * 2, 50)
    touch.amend(moved, px=1000 - side)
    cancelled = touch.submit(side, 1000, 50)
    touch.cancel(cancelled)
    check_model(touch.st)
    touch.show((-side, 1000, 1))
    assert touch.fills(resting) == [(1000, 50)]
    assert touch.state(moved) is OrderState.LIVE
    assert touch.state(cancelled) is OrderState.CANCELLED
    check_model(touch.st)


def test_the_backtest_from_python_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(blocks(ROOT / "docs/backtest.md", "python")[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert int(lines[0].split()[0]) > 3


def test_the_execution_report_from_python_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    exec(blocks(ROOT / "docs/execution-report.md", "python")[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("buy 0.")
    assert "filled, 100 %, in " in lines[1]
    assert "benchmark" in "".join(lines)
    assert lines[-1].strip() == LEGEND


def test_the_results_from_python_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    exec(blocks(ROOT / "docs/results.md", "python")[0].replace("sheet.html", str(tmp_path / "sheet.html")), {})
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith(" USDT")
    assert "the data are 20 s long" in out
    assert "shape: (3, 11)" in out
    assert (tmp_path / "sheet.html").exists()


def test_the_search_from_python_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ZOMS_HOME", str(tmp_path))
    exec(blocks(ROOT / "docs/optimise.md", "python")[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("{'half_spread_ticks': ")
    assert [line[:6] for line in lines[1:3]] == ["fold 1", "fold 2"]
    assert lines[3].startswith("Overfitting(tries=6, deflated_sharpe=None")
    assert len(lines) == 4 + 1 + 18


@pytest.mark.pure
def test_the_page_of_searches_names_every_choice() -> None:
    text = (ROOT / "docs/optimise.md").read_text()
    for name in (*SAMPLERS, *PRUNERS, *KINDS):
        assert f"`{name}" in text or name == "none"


@pytest.mark.pure
def test_the_page_of_results_has_every_metric_as_it_is_defined() -> None:
    rows = [f"| `{each.name}` | {each.unit} | {each.formula} | {each.source} |" for each in METRICS]
    assert "\n".join(rows) in (ROOT / "docs/results.md").read_text()
