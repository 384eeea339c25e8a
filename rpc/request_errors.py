"""What is wrong with a request, in plain words: the decoder's own name no choice, and show a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, get_args

import msgspec
from msgspec import inspect

from rpc.requests import AnyRequest, OrderTerms

_CHOICE: Final = re.compile(r"Invalid enum value (?P<value>.+) - at `\$\.(?P<path>.+)`")
_TEXT: Final = re.compile(r"Expected `str` matching regex .+ - at `\$\.(?P<path>.+)`", re.DOTALL)
_LAST_NAME: Final = re.compile(r"(\w+)(?:\[[^\]]*\])*\Z")


def _literals(kind: inspect.Type) -> Iterator[inspect.LiteralType]:
    """The choices that a field's type holds, also in a union or as a tuple's items."""
    if isinstance(kind, inspect.LiteralType):
        yield kind
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _literals(each)
    elif isinstance(kind, inspect.VarTupleType):
        yield from _literals(kind.item_type)


def _choices() -> dict[str, str]:
    """By a field's name the values that it takes, in words: it takes the same in whatever request it is."""
    found = {}
    for kind in inspect.multi_type_info([OrderTerms, *get_args(AnyRequest)]):
        assert isinstance(kind, inspect.StructType)
        for field in kind.fields:
            for literal in _literals(field.type):
                found[field.encode_name] = ", ".join(map(str, literal.values))
    return found


_CHOICES: Final = _choices()


def plain_text(error: Exception) -> str:
    """An error of the decoder as a client's user understands it.

    Parameters
    ----------
    error : Exception
        ``msgspec.ValidationError`` names the field; others are told as they are.
    """
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return text
    choice = _CHOICE.fullmatch(text)
    if choice is not None:
        name = _name(choice["path"])
        return f"{choice['path']} {choice['value']} is none of {_CHOICES.get(name, 'its values')}"
    pattern = _TEXT.fullmatch(text)
    if pattern is not None:
        return (
            f"{pattern['path']} has a blank or a character that is not plain ASCII: use letters, digits and signs such"
            " as - _ . only"
        )
    return text


def _name(path: str) -> str:
    """The field at the end of a path such as ``entry.side`` or ``topics[...]``."""
    found = _LAST_NAME.search(path)
    return found[1] if found else path
