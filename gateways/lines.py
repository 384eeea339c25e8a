"""Whole lines of a recording, gzip or plain, as far as the file is sound."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

GZIP_MAGIC: Final = b"\x1f\x8b"
MAX_LINE_BYTES: Final = 16 * 1024 * 1024
CHUNK_BYTES: Final = 256 * 1024
_GZIP_WINDOW: Final = 31


class RecordingError(ValueError):
    """A recording that cannot be used; the message names the file and the remedy."""


class LineReader:
    """Reads a file in chunks of whole lines.

    A gzip file that is truncated or corrupt gives every whole line before the damage; ``damage`` then says what is
    wrong. A plain file's last line may lack its newline.

    Attributes
    ----------
    damage : str
        Empty, or why the rest of the file could not be read.
    """

    def __init__(self, path: Path, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.path = path
        self.damage = ""
        self._chunk_bytes = chunk_bytes

    def chunks(self) -> Iterator[bytes]:
        """Yield the file's text in order, each piece ending with a newline except perhaps the last.

        Raises
        ------
        RecordingError
            When the file cannot be opened, is empty, or is called ``.gz`` and is not gzip.
        """
        rest = b""
        for text in self._texts():
            whole, newline, begun = text.rpartition(b"\n")
            if newline:
                yield rest + whole + newline
                rest = begun
            else:
                rest += begun
            if len(rest) > MAX_LINE_BYTES:
                yield rest  # no message is that long: the caller refuses it piece by piece
                rest = b""
        if rest and not self.damage:
            yield rest

    def _texts(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                magic = file.read(len(GZIP_MAGIC))
                file.seek(0)
                if not magic:
                    raise RecordingError(f"recording {self.path} is empty")
                if magic == GZIP_MAGIC:
                    yield from self._unzipped(file)
                elif self.path.suffix == ".gz":
                    raise RecordingError(
                        f"recording {self.path} is not gzip, although its name ends in .gz: "
                        f"fetch it again, or rename it if it is plain text"
                    )
                else:
                    while text := file.read(self._chunk_bytes):
                        yield text
        except OSError as error:
            raise RecordingError(
                f"cannot read recording {self.path}: {os.strerror(error.errno or 0)}; "
                f"give the path of a file of lines 'TIMESTAMP MESSAGE', gzip or plain"
            ) from error

    def _unzipped(self, file: BinaryIO) -> Iterator[bytes]:
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        compressed = b""
        while True:
            compressed = compressed or file.read(self._chunk_bytes // 4)
            if not compressed:
                if not inflater.eof:
                    self.damage = f"{self.path} is truncated: its gzip stream has no end"
                return
            if inflater.eof:
                compressed = compressed.lstrip(b"\0")  # padding between or after members
                if not compressed:
                    continue
                inflater = zlib.decompressobj(_GZIP_WINDOW)
            before = inflater.copy()
            try:
                yield inflater.decompress(compressed)
            except zlib.error as error:
                yield _sound_part(before, compressed)
                self.damage = f"{self.path} is corrupt: {error}"
                return
            compressed = inflater.unused_data


def _sound_part(inflater: zlib._Decompress, compressed: bytes) -> bytes:
    """What can still be decompressed of a piece that has an error in it."""
    sound = []
    try:
        for position in range(len(compressed)):
            sound.append(inflater.decompress(compressed[position : position + 1]))
    except zlib.error:
        return b"".join(sound)
    return b"".join(sound)
