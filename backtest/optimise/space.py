"""What a search may choose: each parameter's range with its step, or the list of its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from backtest.optimise.errors import OptimiseError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MOST_POINTS: Final = 1_000_000
"""Of a grid."""
LARGEST: Final = 10**15
FORM: Final = "NAME=LOW:HIGH, NAME=LOW:HIGH:STEP or NAME=A,B,C"


class Parameter(NamedTuple):
    """One parameter: a range from ``low`` to ``high``, both included, or the values to choose from."""

    name: str
    low: Decimal
    high: Decimal
    step: Decimal | None
    """None: any number of the range."""
    choices: tuple[float, ...] = ()
    """Where there are any, they are all that counts."""

    @property
    def values(self) -> tuple[float, ...] | None:
        """Every value that it may take, ascending or as they were listed; None where they cannot be counted."""
        if self.choices:
            return self.choices
        if self.step is None:
            return None
        return tuple(float(self.low + number * self.step) for number in range(self._steps + 1))

    @property
    def size(self) -> int | None:
        """How many values it may take; None where they cannot be counted."""
        if self.choices:
            return len(self.choices)
        return None if self.step is None else self._steps + 1

    @property
    def _steps(self) -> int:
        return int((self.high - self.low) / self.step) if self.step else 0

    def exact(self, value: float) -> float:
        """The value itself, where it is off by a rounding error."""
        if self.choices or self.step is None:
            return float(value)
        return float(self.low + round((Decimal(value) - self.low) / self.step) * self.step)

    def distribution(self) -> BaseDistribution:
        """The parameter as optuna knows it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.step is not None and all(each == int(each) for each in (self.low, self.step)):
            return IntDistribution(int(self.low), int(self.high), step=int(self.step))
        return FloatDistribution(
            float(self.low), float(self.high), step=None if self.step is None else float(self.step)
        )


Space = tuple[Parameter, ...]


def parse_space(texts: Iterable[str]) -> Space:
    """The parameters that texts such as ``skew_ticks=0:20:2`` describe.

    Whole numbers without a step are taken one by one; where a number is written with a point (``0.0:1``) and no step is
    given, anything between is taken.

    Raises
    ------
    OptimiseError
        For a text that is not like that, a range that its step does not divide, and a name that comes twice.
    """
    space = tuple(map(_parse, texts))
    if not space:
        raise OptimiseError(f"no parameter is given to search: give one as {FORM}")
    names = [each.name for each in space]
    for name in names:
        if names.count(name) > 1:
            raise OptimiseError(f"the range of {name} is given {names.count(name)} times: give it once")
    return space


def _parse(text: str) -> Parameter:
    name, separator, described = (part.strip() for part in text.partition("="))
    if not separator or not name or not described:
        raise OptimiseError(f"range {text!r} is not {FORM}")
    if ":" not in described:
        return _listed(name, [_number(text, part) for part in described.split(",")])
    parts = described.split(":")
    if len(parts) not in (2, 3):
        raise OptimiseError(f"range {text!r} is not {FORM}")
    low, high, *given = (_number(text, part) for part in parts)
    whole = all(part.strip().lstrip("+-").isdigit() for part in parts)
    step = given[0] if given else Decimal(1) if whole else None
    return _ranged(name, low, high, step)


def _number(text: str, part: str) -> Decimal:
    try:
        number = Decimal(part.strip())
    except InvalidOperation:
        raise OptimiseError(f"range {text!r}: {part.strip()!r} is no number; write {FORM}") from None
    if not number.is_finite() or abs(number) > LARGEST:
        raise OptimiseError(f"range {text!r}: {part.strip()} must be a finite number of at most 1e15")
    return number


def _listed(name: str, values: Sequence[Decimal]) -> Parameter:
    for value in values:
        if values.count(value) > 1:
            raise OptimiseError(f"the list of {name} has {value} {values.count(value)} times: give it once")
    return Parameter(name, min(values), max(values), None, tuple(map(float, values)))


def _ranged(name: str, low: Decimal, high: Decimal, step: Decimal | None) -> Parameter:
    if low >= high:
        raise OptimiseError(f"the range of {name} goes from {low} to {high}: its end must be above its start")
    if step is not None:
        if step <= 0:
            raise OptimiseError(f"the range of {name} has the step {step}: it must be above 0")
        last = low + (high - low) // step * step
        if last != high:
            nearest = f"{last} or {last + step}" if last > low else f"{last + step}"
            raise OptimiseError(
                f"the range of {name} from {low} to {high} does not divide into steps of {step}: let it end at "
                f"{nearest}, or choose another step"
            )
    return Parameter(name, low, high, step)


def check_names(names: Iterable[str], known: Mapping[str, float], strategy: str, purpose: str) -> None:
    """Raise ``OptimiseError`` for a parameter that the strategy does not have; ``purpose`` says what it was for."""
    for name in names:
        if name not in known:
            there = ", ".join(known) or "none"
            raise OptimiseError(f"strategy {strategy} has no parameter {name!r} {purpose}: it has {there}")


def grid_of(space: Space) -> list[dict[str, float]]:
    """Every combination, the last parameter running fastest.

    Raises
    ------
    OptimiseError
        When a range has no step, or there are more than ``MOST_POINTS``.
    """
    total = grid_size(space)
    if total > MOST_POINTS:
        raise OptimiseError(f"the grid has {total:,} points, more than {MOST_POINTS:,}: choose larger steps")
    every = [parameter.values or () for parameter in space]
    return [dict(zip((each.name for each in space), point, strict=True)) for point in product(*every)]


def grid_size(space: Space) -> int:
    """How many combinations there are; raises ``OptimiseError`` when a range has no step."""
    total = 1
    for parameter in space:
        if parameter.size is None:
            raise OptimiseError(
                f"a grid needs the step of {parameter.name}, from {parameter.low} to {parameter.high}: give "
                f"{parameter.name}={parameter.low}:{parameter.high}:STEP, or choose another sampler"
            )
        total *= parameter.size
    return total
