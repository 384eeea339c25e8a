"""The documentation says what is: its commands parse, its settings load, its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from gateways.sidecar import Sidecar
from oms.algorithm_parameters import MEANINGS as PARAMETER_MEANINGS
from oms.algorithms import built_in, read_algorithm
from oms.config import AlgorithmSettings, CurrencySettings, RuleSettings, StrategyRisk, load_settings
from oms.reasons import GROUPS, MEANINGS
from oms.records import Reason
from tests.docs.pages import PAGES, ROOT, blocks, console_commands, links, make_targets, parse


def page_id(page: Path) -> str:
    return page.name


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["reasons.md", "command-line.md", "orders.md", "algorithms.md"])
def test_generated_page_is_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == generator().PAGES[name](), "run make docs"


def test_every_reason_has_a_meaning_and_one_group() -> None:
    assert set(MEANINGS) == set(Reason)
    for reason in set(Reason) - {Reason.NONE}:
        assert sum(reason.value in numbers for _, _, numbers in GROUPS) == 1, reason


def test_every_parameter_of_an_algorithm_has_a_meaning() -> None:
    assert set(PARAMETER_MEANINGS) == {name for path in built_in() for name in read_algorithm(path).parameters}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_shown_can_be_given(page: Path) -> None:
    for words in console_commands(page):
        if words[0] == "zoms":
            parse(words)
        elif words[0] == "make":
            assert set(words[1:]) <= make_targets(), words
        else:
            assert words[0] in {"export", "cp", "python", ".venv/bin/python"}, words


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files(page: Path) -> None:
    for target in links(page):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_settings_shown_can_be_loaded(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "toml")):
        if "clock_offset_ns" in text:
            msgspec.toml.decode(text, type=Sidecar)
            continue
        for named in re.findall(r'^file = "(\w+\.py)"$', text, re.MULTILINE):
            (tmp_path / named).touch()
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        load_settings(path, {"replay": {"file": "stream.gz"}})


def test_every_page_is_in_the_index() -> None:
    listed = set(links(ROOT / "docs" / "index.md"))
    assert {page.name for page in PAGES} - {"README.md", "index.md"} <= listed


def test_settings_page_names_every_setting() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    settings = load_settings(overrides={"replay": {"file": "x.gz"}})
    structs = (
        settings,
        settings.replay,
        settings.live,
        settings.firm,
        settings.matching,
        settings.instruments[0],
        *settings.risk.values(),
    )
    account = settings.accounts["paper"]
    others = (account, StrategyRisk(), CurrencySettings(rate="1"), RuleSettings(file=""), AlgorithmSettings(file=""))
    for struct in (*structs, settings.journal, *settings.strategies, *others):
        for name in struct.__struct_fields__:
            assert name in text, f"{type(struct).__name__}.{name} is not explained"
