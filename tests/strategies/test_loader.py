"""Loading a strategy by its path: what its file may do, and what it is told when it cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from oms.compiled import JIT
from oms.core.state import MAX_STRATEGIES, STRATEGY_PARAMETERS
from strategies.loader import LoadedStrategy, StrategyError, define_strategy, load_strategy, local_sources
from tests.oms.core.builders import BUY, Rig, depth, loaded

SAMPLES = Path(__file__).parent / "samples"

pytestmark = pytest.mark.pure
compiled_only = pytest.mark.skipif(not JIT, reason="the compiler says it")


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    """What the author of a file with this text is told."""
    with pytest.raises(StrategyError) as caught:
        load_strategy(written(folder, text))
    message = str(caught.value)
    assert "\n" not in message
    assert "mine.py" in message
    return message


EMPTY = "def on_tick(st, me, tick):\n    pass\n"


def test_two_strategies_may_name_their_own_helper_files_alike() -> None:
    rig = Rig()
    first = rig.add(SAMPLES / "first" / "strategy.py")
    second = rig.add(SAMPLES / "second" / "strategy.py")
    rig.open_market()
    rig.ticks(depth(BUY, 100, 1))
    assert rig.s["strategies"]["memory"][[first, second], 0].tolist() == [4, 300]


def test_helper_files_of_a_strategy_leave_no_module_behind() -> None:
    loaded(SAMPLES / "first" / "strategy.py")
    assert "shared_rules" not in sys.modules
    assert str(SAMPLES / "first") not in sys.path


def test_helper_module_of_the_host_is_there_again_after_a_load(tmp_path: Path) -> None:
    import textwrap

    written(tmp_path, "NUMBER = 7\n", "textwrap.py")
    load_strategy(written(tmp_path, "import textwrap\nassert textwrap.NUMBER == 7\n" + EMPTY))
    assert sys.modules["textwrap"] is textwrap


def test_strategies_folder_may_be_called_strategies(tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    written(folder, "", "__init__.py")
    written(tmp_path, "broken(", "strategies/api.py")
    path = written(tmp_path, "from strategies.api import memory\n" + EMPTY)
    assert local_sources(path) == [path]
    assert load_strategy(path).name == "mine"


def test_sources_are_the_file_and_what_it_imports_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path, "import one, math\nfrom pack.inner import thing\nfrom numpy import array\n" + EMPTY)
    one = written(tmp_path, "from two import other\n", "one.py")
    two = written(tmp_path, "import one\n", "two.py")
    inner = written(tmp_path, "thing = 1\n", "pack/inner.py")
    outer = written(tmp_path, "", "pack/outer.py")
    written(tmp_path, "", "unused.py")
    assert local_sources(path) == sorted([path, one, two, inner, outer])


def test_helpers_may_lie_in_a_folder(tmp_path: Path) -> None:
    written(tmp_path, "NUMBER = 5\n", "pack/inner.py")
    strategy = load_strategy(written(tmp_path, "from pack.inner import NUMBER\nPARAMETERS = {'x': NUMBER}\n" + EMPTY))
    assert strategy.parameters == {"x": 5.0}
    assert not [name for name in sys.modules if name.split(".")[0] == "pack"]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"strategy file .*/none\.py does not exist"):
        load_strategy(tmp_path / "none.py")
    with pytest.raises(StrategyError, match=r"strategy file .* does not exist"):
        load_strategy(tmp_path)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"is not a Python file: give the path of a \.py file"):
        load_strategy(written(tmp_path, EMPTY, "mine.txt"))


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(StrategyError, match=r"strategy mine\.py: UnicodeDecodeError"):
        load_strategy(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def on_tick(st, me, tick)\n    pass\n", "SyntaxError: expected ':' (mine.py, line 1)"),
        ("import nothing_like_that\n", "ModuleNotFoundError in mine.py line 1: No module named 'nothing_like_that'"),
        ("x = 1\ny = x // 0\n", "ZeroDivisionError in mine.py line 2"),
        ("import sys\nsys.exit(3)\n", "SystemExit in mine.py line 2: 3"),
        ("PARAMETERS = {'a': 1.0}\n", "defines none of on_tick, on_bar, on_fill, on_end, on_timer"),
        (
            EMPTY + "def on_start(st, me):\n    pass\n",
            "on_start is no callback: name a function of your own otherwise, callbacks are on_tick, on_bar, on_fill",
        ),
        ("on_tick = 5\n", "on_tick must be a function of three arguments, (st, me, tick)"),
        ("def on_fill(st, me):\n    pass\n", "on_fill must be a function of three arguments, (st, me, event)"),
        ("PARAMETERS = {'a': 'x'}\n" + EMPTY, "parameter a is 'x': it must be a finite number"),
        ("PARAMETERS = {'a': float('nan')}\n" + EMPTY, "parameter a is nan: it must be a finite number"),
        ("PARAMETERS = {5: 1.0}\n" + EMPTY, "parameter 5 is 1.0"),
        ("PARAMETERS = [1.0]\n" + EMPTY, "PARAMETERS must be a dict of at most 32 numbers"),
        (
            f"PARAMETERS = dict.fromkeys(map(str, range({STRATEGY_PARAMETERS + 1})), 1.0)\n" + EMPTY,
            "at most 32 numbers",
        ),
        ("TIMER_INTERVAL_NS = 0\n" + EMPTY, "TIMER_INTERVAL_NS is 0: it must be a whole number of ns, 1000 or more"),
        ("TIMER_INTERVAL_NS = 1e9\n" + EMPTY, "TIMER_INTERVAL_NS is 1000000000.0: it must be a whole number"),
        ("LOG_MESSAGES = 'filled'\n" + EMPTY, "LOG_MESSAGES must be a tuple of texts, not 'filled'"),
        ("LOG_MESSAGES = (1,)\n" + EMPTY, "LOG_MESSAGES must be a tuple of texts"),
    ],
)
def test_file_that_cannot_be_used_says_why_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text)


@compiled_only
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("tick['price']", "in mine.py line 3: Field 'price' was not found in record with fields ('exch_ts', "),
        ("memory(st, me)[0] = 'a'", "in mine.py line 3: "),
        ("open('x')", "in mine.py line 3: "),
        ("return 5", "in mine.py line 3: No conversion from Literal[int](5) to none"),
        ("submit_limit(st, me, BUY, best_bid(st, 0) * 0.99, 10, 0)", "line 3: a price or a quantity is a float"),
        ("amend(st, me, 5, 0, 2.5)", "line 3: a price or a quantity is a float: make it an integer with int()"),
        ("helper(tick)", "in mine.py line 6: "),
    ],
)
def test_function_that_does_not_compile_says_where_and_why_in_one_line(tmp_path: Path, body: str, told: str) -> None:
    text = (
        "from strategies.api import BUY, amend, best_bid, function, memory, submit_limit\n"
        f"def on_tick(st, me, tick):\n    {body}\n"
        "@function\ndef helper(tick):\n    return tick + 'a'\n"
    )
    assert told in refusal(tmp_path, text)


def test_strategy_has_its_defaults_and_takes_others_by_name() -> None:
    rig = Rig()
    strategy = loaded(SAMPLES / "failing.py")
    assert strategy.parameters == {"way": 0.0, "after": 3.0}
    assert strategy.timer_interval_ns == 10_000_000
    assert (strategy.name, strategy.path.name) == ("failing", "failing.py")
    number = rig.add(SAMPLES / "failing.py", after=7)
    assert rig.s["strategies"]["parameters"][number, :3].tolist() == [0.0, 7.0, 0.0]


def test_unknown_parameter_is_refused_with_the_known_ones() -> None:
    rig = Rig()
    with pytest.raises(StrategyError, match="strategy failing has no parameter 'befor': it has way, after"):
        rig.add(SAMPLES / "failing.py", befor=1)
    with pytest.raises(StrategyError, match="strategy watch has no parameter 'x': it has none"):
        rig.add(SAMPLES / "watch.py", x=1)
    assert rig.s["strategies_used"] == 0


def test_table_full_of_strategies_refuses_the_next() -> None:
    rig = Rig()
    for number in range(MAX_STRATEGIES):
        assert rig.add(SAMPLES / "watch.py") == number
    with pytest.raises(StrategyError, match=f"the core holds at most {MAX_STRATEGIES} strategies"):
        rig.add(SAMPLES / "watch.py")


def test_strategy_of_few_callbacks_has_only_those(tmp_path: Path) -> None:
    strategy = load_strategy(written(tmp_path, "def on_fill(st, me, event):\n    pass\n"))
    assert isinstance(strategy, LoadedStrategy)
    rig = Rig()
    number = define_strategy(rig.st, strategy, account=0, instrument=0, parameters={})
    row = rig.s["strategies"][number]
    assert (row["on_tick"], row["on_timer"]) == (0, 0)
    assert row["on_fill"] != 0
    rig.open_market()
