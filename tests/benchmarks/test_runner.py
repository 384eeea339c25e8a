"""``python -m benchmarks``: names, output, and one benchmark that fails beside others that run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from benchmarks import __main__ as runner

MEASURE = {
    "name": "speed",
    "unit": "ticks/s",
    "ours": 1_234_567.0,
    "reference": 1000.0,
    "reference_name": "a slow way",
    "ratio": 1234.567,
    "details": {"frames": 16, "ours": {"p50_us": 12.3}},
}


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two benchmarks, of which one fails after its first measure."""

    def measure_well() -> Iterator[dict[str, Any]]:
        yield MEASURE

    def measure_badly() -> Iterator[dict[str, Any]]:
        yield {**MEASURE, "name": "half"}
        raise RuntimeError("no such data")

    for name, measure in (("bad", measure_badly), ("well", measure_well)):
        module = ModuleType(f"benchmarks.{name}")
        module.__dict__["measure"] = measure
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", module)
    monkeypatch.setattr(runner, "benchmark_names", lambda: ["bad", "well"])


@pytest.mark.usefixtures("benchmarks")
def test_json_is_one_object_a_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["well", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [MEASURE]


@pytest.mark.usefixtures("benchmarks")
def test_text_names_the_machine_and_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["well"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == runner.machine()
    assert "1,234,567 ticks/s" in out
    assert "reference 1,000 (a slow way), ratio 1,235" in out
    assert "ours: p50_us 12.3" in out


@pytest.mark.usefixtures("benchmarks")
def test_benchmark_that_fails_is_named_and_the_others_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["all", "--json"]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["name"] for line in captured.out.splitlines()] == ["half", "speed"]
    assert captured.err == "benchmark bad failed: RuntimeError: no such data\n"


def test_unknown_benchmark_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(["nonsense"])
    assert ended.value.code == 2
    assert "unknown benchmark 'nonsense': there are" in capsys.readouterr().err


def test_every_benchmark_of_the_package_is_found() -> None:
    names = runner.benchmark_names()
    assert {"decode", "bus", "tick_to_order", "core", "startup"} <= set(names)
    assert not [name for name in names if name.startswith("_")]


def test_measure_without_an_agreed_field_is_refused() -> None:
    with pytest.raises(ValueError, match="measure 'speed' has the fields"):
        runner.checked({name: value for name, value in MEASURE.items() if name != "ratio"})
