"""A symbol that several venues have is, in a session, that of its stream: for rpc and for every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.commands.redefine import next_version
from oms.config import ConfigError, Settings, load_settings
from oms.definitions import Definitions
from oms.records import Reason
from oms.traded import traded_instrument
from rpc.refusals import RefusalError
from rpc.translation import named_instrument

pytestmark = pytest.mark.pure

DATA = Path(__file__).resolve().parents[1] / "data"
SPOT, USDM = DATA / "spot_btcusdt_20240808.gz", DATA / "usdm_btcusdt_20240808.gz"


def shipped(recording: Path, folder: Path) -> Settings:
    return load_settings(overrides={"replay": {"file": str(recording)}, "data_dir": str(folder)})


@pytest.mark.parametrize(("recording", "venue"), [(SPOT, "binance_spot"), (USDM, "binance_usdm")])
def test_a_symbol_of_two_venues_is_that_of_the_stream(tmp_path: Path, recording: Path, venue: str) -> None:
    settings = shipped(recording, tmp_path)
    assert traded_instrument(settings, "BTCUSDT").venue == venue
    assert named_instrument(settings, Definitions(settings.instruments), "BTCUSDT").venue == venue
    assert next_version(settings, "BTCUSDT", ["tick=0.5"]).venue == venue


def test_a_symbol_with_its_venue_is_that_one_whatever_is_recorded(tmp_path: Path) -> None:
    assert traded_instrument(shipped(SPOT, tmp_path), "BTCUSDT.binance_usdm").venue == "binance_usdm"


def test_without_a_stream_the_choice_is_said(tmp_path: Path) -> None:
    settings = shipped(tmp_path / "gone.gz", tmp_path)
    with pytest.raises(ConfigError, match=r"say BTCUSDT\.binance_usdm or BTCUSDT\.binance_spot"):
        traded_instrument(settings, "BTCUSDT")
    with pytest.raises(RefusalError, match="ambiguous") as refused:
        named_instrument(settings, Definitions(settings.instruments), "BTCUSDT")
    assert refused.value.code == Reason.UNKNOWN_INSTRUMENT.name
