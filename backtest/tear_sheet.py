"""The tear sheet of a backtest: its results on one page, as an HTML file with interactive plots or as a PNG.

The HTML file is whole in itself and needs no network. Plots are drawn by plotly and matplotlib, which are an extra:
``pip install 'zoms[plots]'``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backtest.whole_file import check_writable, whole_file

if TYPE_CHECKING:
    from backtest.performance import Performance


class TearSheetError(ValueError):
    """A tear sheet that cannot be made; the message says why and what to do."""


def _save_html(performance: Performance, path: Path) -> None:
    from backtest.tear_sheet_html import tear_sheet_html

    path.write_text(tear_sheet_html(performance), encoding="utf-8")


def _save_png(performance: Performance, path: Path) -> None:
    from backtest.tear_sheet_png import save_png

    save_png(performance, path)


FORMATS: Final[dict[str, tuple[str, Callable[[Performance, Path], None]]]] = {
    ".html": ("plotly", _save_html),
    ".png": ("matplotlib", _save_png),
}
"""The library that draws each kind of file, and how it is written."""


def check_tear_sheet(path: Path) -> None:
    """Check that a tear sheet can be written to the file at ``path``; raises as ``save_tear_sheet`` does."""
    if path.suffix not in FORMATS:
        raise TearSheetError(f"report {path} is neither HTML nor PNG: name it like {path.stem or 'report'}.html")
    check_writable(path, "report")
    library = FORMATS[path.suffix][0]
    try:
        import_module(library)
    except ImportError as error:
        raise TearSheetError(f"report {path} needs {library} ({error}): pip install 'zoms[plots]'") from None


def save_tear_sheet(performance: Performance, path: Path) -> None:
    """Write the tear sheet to the file at ``path``: an HTML page or a PNG, by the name's end.

    Raises
    ------
    TearSheetError
        When the name ends otherwise, or what draws it is not installed.
    FileError
        When the file cannot be written; one that was there is then as it was.
    """
    check_tear_sheet(path)
    with whole_file(path, "report") as partial:
        FORMATS[path.suffix][1](performance, partial)
