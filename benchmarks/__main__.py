"""``python -m benchmarks NAME|all [--json]``: run benchmarks and print what they measured.

A benchmark is a module of this package with a function ``measure``, which yields one mapping a measure: ``name``,
``unit``, ``ours``, ``reference``, ``reference_name``, ``ratio`` (ours to the reference) and ``details``. Each measures
its reference in the same run. With ``--json`` each measure is one JSON object on its own line.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any, Final

FIELDS: Final = ("name", "unit", "ours", "reference", "reference_name", "ratio", "details")
LIBRARIES: Final = ("numba", "numpy", "pyzmq", "msgspec")
_FOLDER: Final = Path(__file__).parent


def benchmark_names() -> list[str]:
    """Names of the modules beside this one that have a ``measure`` function."""
    return sorted(
        path.stem
        for path in _FOLDER.glob("*.py")
        if not path.stem.startswith("_") and "\ndef measure(" in path.read_text()
    )


def machine() -> str:
    """The machine and the versions that the figures belong to."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, {libraries}"
    )


def checked(measure: Mapping[str, Any]) -> dict[str, Any]:
    """One measure with exactly the agreed fields; raises ``ValueError`` when one is missing or there is another."""
    if set(measure) != set(FIELDS):
        raise ValueError(f"measure {measure.get('name', '?')!r} has the fields {sorted(measure)}, agreed are {FIELDS}")
    return {field: measure[field] for field in FIELDS}


def measures(name: str, given: Mapping[str, Any] = {}) -> Iterator[dict[str, Any]]:
    """Run one benchmark, with what is ``given`` of its own options."""
    measure = importlib.import_module(f"benchmarks.{name}").measure
    options = {option: value for option, value in given.items() if option in signature(measure).parameters}
    for each in measure(**options):
        yield checked(each)


def number(value: float | None) -> str:
    """A figure for the eye: thousands separated, three significant digits below 100."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def detail_lines(details: Mapping[str, Any]) -> list[str]:
    """Details as ``name value`` texts; nested ones as ``outer: name value``."""
    plain = [f"{name} {_text(value)}" for name, value in details.items() if not isinstance(value, Mapping)]
    nested = [
        f"{outer}: " + ", ".join(f"{name} {_text(value)}" for name, value in inner.items())
        for outer, inner in details.items()
        if isinstance(inner, Mapping)
    ]
    return ([", ".join(plain)] if plain else []) + nested


def _text(value: Any) -> str:
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def print_measure(measure: Mapping[str, Any]) -> None:
    reference = f"{number(measure['reference'])} ({measure['reference_name']})" if measure["reference_name"] else "-"
    print(
        f"  {measure['name']:<34} {number(measure['ours']):>12} {measure['unit']:<12} "
        f"reference {reference}, ratio {number(measure['ratio'])}"
    )
    for line in detail_lines(measure["details"]):
        print(f"      {line}")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    names = benchmark_names()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="+", help=f"all, or: {', '.join(names)}", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON object a measure")
    parser.add_argument("--data", help="backtest: a recorded stream or an hftbacktest file", metavar="FILE")
    parser.add_argument("--tick-size", help="backtest: of the instrument")
    parser.add_argument("--lot-size", help="backtest: of the instrument")
    parser.add_argument("--inverse", action="store_true", default=None, help="backtest: it is an inverse contract")
    parser.add_argument("--contract", help="backtest: what a contract is worth, in the quote currency [inverse: 100]")
    options = parser.parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    chosen = names if "all" in options.name else options.name
    for name in chosen:
        if name not in names:
            parser.error(f"unknown benchmark {name!r}: there are {', '.join(names)}, all")
    if not options.json:
        print(machine())
    failed = 0
    for name in chosen:
        if not options.json:
            print(f"{name}")
        try:
            for measure in measures(name, given):
                if options.json:
                    print(json.dumps(measure), flush=True)
                else:
                    print_measure(measure)
        except Exception as error:  # noqa: BLE001 - one benchmark that cannot run must not stop the others
            failed += 1
            print(f"benchmark {name} failed: {type(error).__name__}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
