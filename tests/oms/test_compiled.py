"""The compile cache: keyed by every source that decides the machine code, so that no edit leaves stale code behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit, types
from numba.core.errors import NumbaError
from numba.core.funcdesc import default_mangler

import oms
from oms import compiled, engine
from oms.compiled import (
    ALGORITHM_SOURCES,
    CACHE_VARIABLE,
    DECODER_SOURCES,
    JIT,
    KEPT_CACHES,
    KERNEL_CACHES,
    KERNEL_SOURCES,
    SANDBOX_SOURCES,
    STRATEGY_CACHES,
    Progress,
    cache_folder,
    cache_key,
    cache_root,
    compile_entries,
    kernel_sources,
    open_cache,
)
from oms.core.state import STATE

ROOT = Path(oms.__file__).resolve().parent.parent
PACKAGES = ("oms", "strategies", "backtest", "gateways")
DECORATOR = re.compile(r"^@(kernel|hot_kernel|market_kernel|entry|user_kernel|function|intrinsic)\b", re.MULTILINE)

SHIPPED_STRATEGIES = {"market_maker.py", "moving_average.py"}

compiled_only = pytest.mark.skipif(not JIT, reason="about the compiler's cache")


def source(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@compiled.kernel
def shifted(number: int) -> int:
    return (number + 1) << 40


@pytest.mark.pure
def test_kernel_takes_a_narrow_field_as_an_int64() -> None:
    field: Any = np.int32(2)
    assert shifted(field) == 3 << 40


@pytest.mark.pure
@pytest.mark.skipif(JIT, reason="a compiled function's signature says so")
def test_function_called_by_address_takes_its_number_as_an_int64() -> None:
    def keep(_st: Any, number: int, record: Any) -> None:
        record[0] = (number + 1) << 40

    kept = compiled.callback(keep, None, STATE, checked=False)
    answer = np.zeros(1, np.int64)
    assert compiled.call_address(kept.address, None, np.int32(2), answer) == 0
    assert answer[0] == 3 << 40


@pytest.mark.pure
@pytest.mark.skipif(JIT, reason="compiled code has no traceback")
def test_what_a_callback_raises_is_printed_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_st: Any, _number: int, _record: Any) -> None:
        raise ZeroDivisionError("at this line")

    kept = compiled.callback(fail, None, STATE, checked=False)
    assert compiled.call_address(kept.address, None, 0, None) == 1
    printed = capsys.readouterr().err
    assert 'raise ZeroDivisionError("at this line")' in printed
    assert Path(__file__).name in printed


def test_every_file_with_compiled_functions_decides_the_key() -> None:
    with_kernels = {
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if DECORATOR.search(path.read_text()) and path.name not in SHIPPED_STRATEGIES
    }
    assert len(with_kernels) > 10
    groups = (KERNEL_SOURCES, ALGORITHM_SOURCES, SANDBOX_SOURCES, DECODER_SOURCES)
    assert with_kernels <= {path for group in groups for path in kernel_sources(patterns=group)}


@pytest.mark.parametrize("group", [KERNEL_SOURCES, SANDBOX_SOURCES, DECODER_SOURCES])
def test_every_kernel_module_imports_only_modules_that_decide_the_key_too(group: tuple[str, ...]) -> None:
    sources = kernel_sources(patterns=group)
    known = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in sources}
    light = {"oms.bus", "oms.journal_reader", "oms.journal_segments", "oms.journal_versions"}  # Python sides
    imported = re.compile(rf"^from ((?:{'|'.join(PACKAGES)})[\w.]*) import (.+)", re.MULTILINE)
    for path in sources:
        for module, names in imported.findall(path.read_text()):
            if module in light or (ROOT / module.replace(".", "/")).is_dir():
                assert module in light or all(f"{module}.{name.strip()}" in known for name in names.split(","))
            else:
                assert module in known, f"{path.name} imports {module}"


@compiled_only
@pytest.mark.parametrize("symbol", ["", "NRT_incref", "_ZN", "cfunc._ZN3oms4core5funds11check_fundsB2v1"])
def test_symbol_of_something_else_is_no_kernels(symbol: str) -> None:
    assert compiled._qualified_name(symbol) not in compiled._hot


@compiled_only
def test_hot_kernels_are_found_by_the_names_that_numba_gives_them() -> None:
    assert "oms.core.funds.check_funds" in compiled._hot
    for name in compiled._hot:
        symbol = default_mangler(name, (types.int64, types.float64), abi_tags=("v12", "c8tJT"))
        assert compiled._qualified_name(symbol) == name


@compiled_only
def test_compiled_code_cannot_make_an_entry_part_of_itself() -> None:
    caller = njit(lambda st: not engine.report_positions(st))
    with pytest.raises((TypeError, NumbaError), match="is called by address or from Python"):
        caller.compile(types.boolean(compiled.array_of(STATE)))


LINEAR_ALGEBRA = """
import sys
import numpy as np
from numba import njit
from oms.compiled import compile_entries
from oms.core import standing
compile_entries()
print("scipy.linalg" in sys.modules, njit(lambda a: a @ a)(np.eye(2)).tolist())
"""


@compiled_only
def test_a_process_imports_linear_algebra_only_when_it_is_used() -> None:
    pytest.importorskip("scipy")
    done = subprocess.run([sys.executable, "-c", LINEAR_ALGEBRA], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["False", "[[1.0, 0.0], [0.0, 1.0]]\n"]


def test_key_depends_on_each_text_and_name(tmp_path: Path) -> None:
    one = source(tmp_path, "one.py", "a")
    two = source(tmp_path, "two.py", "b")
    keys = {cache_key([one, two]), cache_key([one]), cache_key([two, one])}
    two.write_text("c")
    keys.add(cache_key([one, two]))
    one.write_text("")
    keys.add(cache_key([one, two]))
    assert len(keys) == 5
    assert cache_key([one, two]) == cache_key([one, two])


def test_same_texts_in_another_folder_have_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba files machine code by path: where the key were the same, a marker would promise what is not there."""
    here = source(tmp_path, "a/x.py", "1")
    assert cache_key([here]) != cache_key([source(tmp_path, "b/x.py", "1")])
    monkeypatch.chdir(tmp_path)
    assert cache_key([here]) == cache_key([Path("a/x.py")])


def test_cache_lies_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "zoms"


def test_oldest_caches_of_a_group_are_removed_and_the_other_group_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setitem(compiled.KEPT_CACHES, STRATEGY_CACHES, 3)
    kernels = open_cache([source(tmp_path, "kernel.py", "")])
    opened = []
    for number in range(5):
        opened.append(open_cache([source(tmp_path, f"{number}.py", "")], STRATEGY_CACHES))
        os.utime(opened[-1], (number, number))
    assert [folder.is_dir() for folder in opened] == [False, False, True, True, True]
    assert kernels.is_dir()
    assert kernels == cache_folder([tmp_path / "kernel.py"], KERNEL_CACHES)
    assert KEPT_CACHES[KERNEL_CACHES] >= 8


def test_a_cache_that_was_just_opened_is_there_however_many_processes_open_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setitem(compiled.KEPT_CACHES, STRATEGY_CACHES, 1)
    sources = [source(tmp_path, f"{number}.py", "") for number in range(4)]

    def opens(first: int) -> bool:
        return all(
            open_cache([sources[(first + turn) % len(sources)]], STRATEGY_CACHES).is_dir() for turn in range(200)
        )

    with ThreadPoolExecutor(len(sources)) as threads:
        assert all(threads.map(opens, range(len(sources))))


@compiled_only
def test_compiling_reports_each_entry() -> None:
    seen: list[Progress] = []
    compile_entries(seen.append)
    assert [each.done for each in seen] == list(range(seen[-1].total + 1))
    assert f"{engine.__name__}.step_ticks" in [each.name for each in seen]


def run(script: Path, cache: Path, *arguments: str) -> str:
    """What a script prints in a process of its own."""
    environment = {**os.environ, CACHE_VARIABLE: str(cache), "PYTHONPATH": str(script.parent)}
    done = subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LOAD_AND_CALL = """
import sys
from pathlib import Path
import numpy as np
from oms.core.state import new_state
from oms.records import TICK
from strategies.loader import load_strategy
callback = load_strategy(Path(sys.argv[1])).callbacks["on_tick"].dispatcher
st = new_state()
callback(st, 0, np.zeros(1, TICK)[0])
print(st[0]["strategies"][0]["memory"][0], sum(callback.stats.cache_hits.values()))
"""


@compiled_only
def test_edit_of_a_strategys_helper_gives_the_new_result_and_none_the_cached_one(tmp_path: Path) -> None:
    script = source(tmp_path, "load_and_call.py", LOAD_AND_CALL)
    cache = tmp_path / "cache"
    helper = "from strategies.api import function\n@function\ndef answer():\n    return {}\n"
    own = "from rules import answer\ndef on_tick(st, me, tick):\n    st[0]['strategies'][me]['memory'][0] = answer()\n"
    strategy = str(source(tmp_path, "mine/own.py", own))
    source(tmp_path, "mine/rules.py", helper.format(41))
    assert run(script, cache, strategy) == "41 0"
    assert run(script, cache, strategy) == "41 1"
    source(tmp_path, "mine/rules.py", helper.format(42))
    assert run(script, cache, strategy) == "42 0"


CALL_ENTRY = """
from oms.core.probe import answer
from oms.compiled import compile_entries
compile_entries()
print(answer(), sum(answer.stats.cache_hits.values()))
"""

ENTRY = """
import numba
from oms.compiled import entry
from oms.core.probe_callee import number
@entry(lambda: numba.int64())
def answer():
    return number()
"""

CALLEE = """
from oms.compiled import kernel
@kernel
def number():
    return {}
"""


@compiled_only
def test_edit_of_a_kernel_in_another_file_gives_the_new_result(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "oms", tree / "oms", ignore=shutil.ignore_patterns("__pycache__"))
    script = source(tree, "call_entry.py", CALL_ENTRY)
    source(tree, "oms/core/probe.py", ENTRY)
    source(tree, "oms/core/probe_callee.py", CALLEE.format(7))
    cache = tmp_path / "cache"
    assert run(script, cache) == "7 0"
    assert run(script, cache) == "7 1"
    source(tree, "oms/core/probe_callee.py", CALLEE.format(8))
    assert run(script, cache) == "8 0"
