"""The words of a decoding error, with the key that it is about and what may stand there."""

from __future__ import annotations

import json
import re
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

_PLACED: Final = re.compile(r"(.*) - at `\$([^`]*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")


def decode_error_text(error: Exception, tree: object, kind: Any) -> str:
    """What msgspec says of a tree that is not of a kind, for who wrote the tree.

    The place is given with the keys of its tables, which msgspec leaves open, and a word that is none of a choice with
    the choice: ``Invalid enum value 'all': use "orders" or "batch" - at `journal.sync```.

    Parameters
    ----------
    error
        What ``msgspec.convert(tree, kind)`` has raised.
    tree
        Of dictionaries, lists and plain values.
    kind
        A type of structs, dictionaries by name, tuples of one kind and choices.
    """
    placed = _PLACED.fullmatch(str(error))
    if placed is None:
        return str(error)
    text, place = placed.groups()
    path: list[str] = []
    value: Any = tree
    for name, number in _STEP.findall(place):
        kind = _present(kind)
        if name:
            path.append(name)
            value, kind = value[name], get_type_hints(kind)[name]
        elif number:
            path[-1] += f"[{number}]"
            value, kind = value[int(number)], get_args(kind)[0]
        else:
            kind = get_args(kind)[1]
            key, value = next((key, each) for key, each in value.items() if not _is(each, kind))
            path.append(key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key))
    if get_origin(kind) is Literal:
        text += f": use {' or '.join(map(json.dumps, get_args(kind)))}"
    return f"{text} - at `{'.'.join(path)}`"


def _present(kind: Any) -> Any:
    """A kind without the ``None`` that may stand in its place."""
    return next(each for each in get_args(kind) if each is not NoneType) if NoneType in get_args(kind) else kind


def _is(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
