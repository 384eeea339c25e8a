"""What a symbol means in a session: where several venues have it, the instrument of the stream that is traded on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from oms.config import qualified_symbol

if TYPE_CHECKING:
    from oms.config import Settings
    from oms.instruments import Instrument


def recorded_instrument(settings: Settings) -> str:
    """The instrument of the recording, as the settings call it; raises ``RecordingError`` or ``ConfigError``."""
    return qualified_symbol(settings.instrument(_recorded_name(settings.replay.file)))


def traded_instrument(settings: Settings, name: str) -> Instrument:
    """The instrument called ``name``: a symbol and its venue, or a symbol, where several venues have it that of the
    stream that is replayed.

    Raises
    ------
    ConfigError
        When there is none, or several venues have the symbol and the stream is of none of them.
    """
    found = settings.instruments_called(name)
    if len(found) > 1:
        recorded = _known_name(settings.replay.file)
        found = [each for each in found if qualified_symbol(each) == recorded]
    return found[0] if len(found) == 1 else settings.instrument(name)


@lru_cache(maxsize=4)
def _recorded_name(file: str) -> str:
    """Symbol and venue of a recording: a file without a sidecar is read through, so it is asked once."""
    from gateways.sidecar import open_recording

    recording = open_recording(Path(file))
    return f"{recording.symbol}.{recording.venue}"


@lru_cache(maxsize=4)
def _known_name(file: str) -> str:
    """As ``_recorded_name``; empty where it cannot be told: the gateway says why, and the symbol stays ambiguous."""
    from gateways.lines import RecordingError

    try:
        return _recorded_name(file)
    except RecordingError:
        return ""
