"""The page on rpc says what is: its examples run, and it names every request, topic and code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from rpc.entities import Topic
from rpc.limits import DEFAULT_LIMITS
from rpc.messages import AnyReply, RpcCode
from rpc.requests import MAX_PAGE, AnyRequest
from tests.rpc.conftest import World, wait_for

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rpc.md").read_text()
PYTHON = r"^```python\n(.*?)^```$"
FLAGS = re.DOTALL | re.MULTILINE
EXAMPLES = re.findall(PYTHON, PAGE, FLAGS)


@pytest.mark.parametrize("example", EXAMPLES, ids=["sync", "async", "waiting", "batch"])
def test_the_examples_run(world: World, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    world.start_core()
    world.start_server()
    world.ready_client()
    here = example.replace('Client("my-desk")', f'Client("my-desk", "{world.settings.rpc_endpoint}")')
    exec(compile(here, "rpc.md", "exec"), {})
    shown = capsys.readouterr().out
    for said in re.findall(r"print\(.*?\)  # (.*)", example):
        assert said in shown
    wait_for(lambda: not world.client("my-desk").orders(), "the example's cancels")


def test_the_example_on_algorithms_runs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "running-algorithms.md").read_text()
    (example,) = (each for each in re.findall(PYTHON, page, FLAGS) if "start_algorithm" in each)
    world.start_core()
    world.start_server()
    client = world.ready_client("my-desk")
    here = example.replace('Client("my-desk")', f'Client("my-desk", "{world.settings.rpc_endpoint}")')
    exec(compile(here, "running-algorithms.md", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    assert (shown[0], shown[1]) == ("paused", "0.000 of 0.020 at None")
    wait_for(lambda: client.progress(client_order_id="work-2").state == "cancelled", "the example's cancel")


def test_every_request_reply_topic_and_code_is_on_the_page() -> None:
    words = set(re.findall(r"`(\w+)`", PAGE))
    tags = {kind.__struct_config__.tag for kind in (*get_args(AnyRequest), *get_args(AnyReply))}
    assert tags <= words
    assert set(get_args(Topic)) <= words
    assert {str(code) for code in RpcCode} <= words


def test_the_bounds_on_the_page_are_those_of_the_server() -> None:
    for number in (
        DEFAULT_LIMITS.queued_events,
        DEFAULT_LIMITS.outstanding,
        DEFAULT_LIMITS.connections,
        DEFAULT_LIMITS.closed_orders,
        MAX_PAGE,
    ):
        assert f"{number:,}" in PAGE
    assert f"within {DEFAULT_LIMITS.answer_timeout_s:g} s" in PAGE
    assert f"{DEFAULT_LIMITS.command_life_s:g} s after it was sent" in PAGE
