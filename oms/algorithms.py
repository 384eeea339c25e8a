"""What execution algorithms there are, as their files declare it: names, parameters, ranges. Nothing is compiled here.

The rpc process and the command line check a request by it before it goes to the core.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from oms.instruments import Instrument
from oms.records import ALGORITHM_VERSION_BITS, PARENT_PARAMETERS

BUILT_IN: Final = Path(__file__).resolve().parent / "algos"
_NOT_ALGORITHMS: Final = frozenset({"__init__", "api", "routes", "schedule"})


_DECLARED: Final = ("PARAMETERS", "RANGES", "SEVERAL_VENUES", "VERSION")


class AlgorithmError(ValueError):
    """An algorithm's file declares something wrongly, or a request names what there is not."""


class Algorithm(NamedTuple):
    """What a file declares."""

    name: str
    path: Path
    parameters: dict[str, float]
    """Defaults by name, in the order of their numbers."""
    ranges: dict[str, tuple[float, float]]
    """Lowest and highest value, of those that have a range."""
    summary: str
    """First line of its docstring."""
    several_venues: bool = False
    """It may trade in more instruments than the order's own."""
    version: int = 1
    """What the file says of what it keeps in its memory: an order of another version is not gone on with."""

    @property
    def id(self) -> int:
        """The number by which records name it, above 0: of its name, then of its version and its parameters in order.

        So an order that was started when a parameter had another place is never worked by what it does not mean.
        """
        told = "/".join((str(self.version), *self.parameters))
        name = int.from_bytes(sha256(self.name.encode()).digest()[:8], "little") >> 2
        own = int.from_bytes(sha256(told.encode()).digest()[:8], "little")
        return name >> ALGORITHM_VERSION_BITS << ALGORITHM_VERSION_BITS | own % 2**ALGORITHM_VERSION_BITS

    def values(self, given: Mapping[str, float]) -> list[float]:
        """The parameters' values by number, the defaults where nothing is given.

        Raises
        ------
        AlgorithmError
            When there is no such parameter, or the value is outside its range.
        """
        for name, value in given.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise AlgorithmError(f"algorithm {self.name} has no parameter {name!r}: it has {known}")
            if not math.isfinite(value):
                raise AlgorithmError(f"parameter {name} of {self.name} is {value}: give a finite number")
            lowest, highest = self.ranges.get(name, (-math.inf, math.inf))
            if not lowest <= value <= highest:
                raise AlgorithmError(
                    f"parameter {name} of {self.name} is {value:g}: give a number from {lowest:g} to {highest:g}"
                )
        return [float(given.get(name, default)) for name, default in self.parameters.items()]


def _grid_name(name: str) -> str:
    """Under which a parameter in lots or ticks may be given as a quantity or a price; empty: it is neither."""
    for ending, instead in (("_lots", "_qty"), ("_ticks", "_price")):
        if name.endswith(ending):
            return name.removesuffix(ending) + instead
    return ""


def exact_parameters(
    algorithm: Algorithm, given: Mapping[str, str | float], instrument: Instrument
) -> dict[str, float]:
    """Parameters as the algorithm has them: ``display_qty=0.5`` is so many ``display_lots``, ``trigger_price=61000.5``
    so many ``trigger_ticks``, exactly.

    Raises
    ------
    AlgorithmError, GridError
        For what is no number, and a quantity or a price off the instrument's grid.
    """
    by_grid_name = {_grid_name(name): name for name in algorithm.parameters if _grid_name(name)}
    exact: dict[str, float] = {}
    for name, value in given.items():
        own = by_grid_name.get(name, name)
        if own in exact:
            raise AlgorithmError(f"parameter {own} of {algorithm.name} is given twice, as {name} too: give it once")
        if own != name:
            convert = instrument.qty_to_lots if name.endswith("_qty") else instrument.px_to_ticks
            exact[own] = float(convert(str(value)))
            continue
        try:
            exact[own] = float(value)
        except ValueError:
            raise AlgorithmError(f"parameter {name} of {algorithm.name} is {value!r}: give a number") from None
    return exact


def name_number(algorithm: int) -> int:
    """What the ids of all versions of an algorithm have in common."""
    return algorithm >> ALGORITHM_VERSION_BITS


def built_in() -> list[Path]:
    """The files of the algorithms that come with zoms, in the order of their names."""
    return sorted(path for path in BUILT_IN.glob("*.py") if path.stem not in _NOT_ALGORITHMS)


def _literals(path: Path) -> tuple[dict[str, Any], str]:
    """The constants that a file assigns at its top, as far as they are literals, and its docstring."""
    tree = ast.parse(path.read_text(), str(path))
    found: dict[str, Any] = {}
    for node in tree.body:
        target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id in _DECLARED and value is not None:
            try:
                found[target.id] = ast.literal_eval(value)
            except ValueError as error:
                raise AlgorithmError(f"algorithm {path.name}: {target.id} must be a dict of plain numbers") from error
    return found, ast.get_docstring(tree) or ""


def read_algorithm(path: Path) -> Algorithm:
    """What the file at ``path`` declares.

    Raises
    ------
    AlgorithmError
        When it cannot be read, or declares something wrongly.
    """
    try:
        found, docstring = _literals(path)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise AlgorithmError(f"algorithm {path} cannot be read: {error}") from error
    parameters = found.get("PARAMETERS", {})
    ranges = found.get("RANGES", {})
    if not isinstance(parameters, dict) or len(parameters) > PARENT_PARAMETERS:
        raise AlgorithmError(f"algorithm {path.name}: PARAMETERS must be a dict of at most {PARENT_PARAMETERS} numbers")
    for name, value in parameters.items():
        if not isinstance(name, str) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise AlgorithmError(f"algorithm {path.name}: parameter {name} is {value!r}: it must be a finite number")
    if not isinstance(ranges, dict) or any(name not in parameters for name in ranges):
        raise AlgorithmError(f"algorithm {path.name}: RANGES must be a dict of (lowest, highest) by parameter")
    for name, pair in ranges.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or not pair[0] <= parameters[name] <= pair[1]:
            raise AlgorithmError(f"algorithm {path.name}: the default of {name} must be within RANGES, {pair!r}")
    values = {name: float(value) for name, value in parameters.items()}
    pairs = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
    summary = docstring.strip().split("\n", 1)[0]
    several_venues = bool(found.get("SEVERAL_VENUES", False))
    version = found.get("VERSION", 1)
    if not isinstance(version, int):
        raise AlgorithmError(f"algorithm {path.name}: VERSION is {version!r}: it must be a whole number")
    return Algorithm(path.stem.replace("_", "-"), path, values, pairs, summary, several_venues, version)


def read_algorithms(files: Iterable[Path]) -> dict[str, Algorithm]:
    """What the built-in algorithms, then those in ``files``, declare, by name.

    Raises
    ------
    AlgorithmError
        As ``read_algorithm``; and when two have one name.
    """
    known: dict[str, Algorithm] = {}
    for path in (*built_in(), *files):
        algorithm = read_algorithm(path)
        if algorithm.name in known:
            raise AlgorithmError(f"algorithm {algorithm.name} is there already: give the file {path} another name")
        known[algorithm.name] = algorithm
    return known
