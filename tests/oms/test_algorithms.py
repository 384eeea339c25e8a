"""What algorithms' files declare, and the parameters that a request gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.algorithms import AlgorithmError, built_in, exact_parameters, name_number, read_algorithm, read_algorithms
from oms.decimals import GridError
from tests.oms.core.builders import PERPETUAL

pytestmark = pytest.mark.pure


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_every_built_in_algorithm_says_what_it_does_and_takes() -> None:
    known = read_algorithms(())
    assert {"best-limit", "iceberg", "sniper", "stop"} <= set(known)
    for algorithm in known.values():
        assert algorithm.summary.endswith((".", ":"))
        assert set(algorithm.ranges) == set(algorithm.parameters)
    assert len({name_number(each.id) for each in known.values()}) == len(known) == len(built_in())


def test_parameters_have_their_defaults_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    algorithm = read_algorithm(written(tmp_path, 'PARAMETERS = {"a": 1, "b": 2.5}\n'))
    assert algorithm.values({"b": 3}) == [1.0, 3.0]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('PARAMETERS = {"a": 1, "b": 2}', True),
        ('"""Another."""\nPARAMETERS = {"a": 5, "b": 6}\nRANGES = {"a": (0, 9)}\nVERSION = 1', True),
        ('PARAMETERS = {"b": 2, "a": 1}', False),
        ('PARAMETERS = {"a": 1, "b": 2, "c": 3}', False),
        ('PARAMETERS = {"a": 1}', False),
        ('PARAMETERS = {"a": 1, "b": 2}\nVERSION = 2', False),
    ],
)
def test_an_id_stands_for_the_name_and_for_what_the_parameters_are(tmp_path: Path, text: str, same: bool) -> None:
    first = read_algorithm(written(tmp_path, 'PARAMETERS = {"a": 1, "b": 2}')).id
    second = read_algorithm(written(tmp_path, text)).id
    assert (second == first) == same
    assert name_number(second) == name_number(first)
    other = read_algorithm(written(tmp_path, text, "other.py")).id
    assert name_number(other) != name_number(first)
    assert 0 < first < 2**62


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"c": 1.0}, "has no parameter 'c': it has a, b"),
        ({"a": 9.0}, "parameter a of mine is 9: give a number from 0 to 5"),
        ({"a": float("nan")}, "parameter a of mine is nan: give a finite number"),
    ],
)
def test_what_cannot_be_is_named_with_its_remedy(tmp_path: Path, given: dict[str, float], told: str) -> None:
    algorithm = read_algorithm(written(tmp_path, 'PARAMETERS = {"a": 1, "b": 2}\nRANGES = {"a": (0, 5)}\n'))
    with pytest.raises(AlgorithmError, match=told):
        algorithm.values(given)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PARAMETERS = {'a': print}", "PARAMETERS must be a dict of plain numbers"),
        ("PARAMETERS = {'a': 'x'}", "parameter a is 'x'"),
        ("PARAMETERS = {'a': 1}\nRANGES = {'b': (0, 1)}", "RANGES must be a dict"),
        ("PARAMETERS = {'a': 1}\nRANGES = {'a': (2, 3)}", "the default of a must be within RANGES"),
        (f"PARAMETERS = {dict.fromkeys(map(str, range(17)), 0)}", "at most 16 numbers"),
        ("def work(", "cannot be read"),
        ("VERSION = 1.5", "VERSION is 1.5: it must be a whole number"),
    ],
)
def test_a_file_that_declares_wrongly_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(AlgorithmError, match=told):
        read_algorithm(written(tmp_path, text))


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AlgorithmError, match="algorithm iceberg is there already"):
        read_algorithms([written(tmp_path, "", "iceberg.py")])


def test_quantities_and_prices_become_lots_and_ticks_exactly() -> None:
    iceberg = read_algorithms(())["iceberg"]
    stop = read_algorithms(())["stop"]
    assert exact_parameters(iceberg, {"display_qty": "0.3", "variance": "0.1"}, PERPETUAL) == {
        "display_lots": 300.0,
        "variance": 0.1,
    }
    assert exact_parameters(stop, {"trigger_price": "61000.5"}, PERPETUAL) == {"trigger_ticks": 610_005.0}
    with pytest.raises(GridError):
        exact_parameters(stop, {"trigger_price": "61000.55"}, PERPETUAL)
    with pytest.raises(AlgorithmError, match="given twice"):
        exact_parameters(iceberg, {"display_qty": "1", "display_lots": "5"}, PERPETUAL)
    with pytest.raises(AlgorithmError, match="'much': give a number"):
        exact_parameters(iceberg, {"variance": "much"}, PERPETUAL)
