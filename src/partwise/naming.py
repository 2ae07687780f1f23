"""Settings objects by name: ``name``, or ``name:argument``."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any

from partwise.errors import InputError, unknown_choice

__all__ = ["label", "named", "whole_number"]


def named(what: str, text: str, kinds: Mapping[str, type[Any]], valid: Iterable[str]) -> Any:
    """Return the settings object that the text names.

    Parameters
    ----------
    what
        The parameter that it is given for, for messages.
    kinds
        Name to settings class; each can be made without arguments, or with the text after the colon.
    valid
        The names to list where the name is unknown.

    Raises
    ------
    InputError
        If the name or its argument is unknown.
    """
    name, colon, argument = text.partition(":")
    if name not in kinds:
        raise unknown_choice(what, text, valid)
    if not colon:
        return kinds[name]()
    if not signature(kinds[name]).parameters:
        raise InputError(f"{what}={text!r} is wrong: {name!r} takes no argument. Valid: {name}.")
    try:
        return kinds[name](argument)
    except InputError as error:
        raise InputError(f"{what}={text!r} is wrong: {error}") from error


def whole_number(owner: str, name: str, value: Any) -> int:
    """Return a setting that counts something, also from its text.

    Raises
    ------
    InputError
        If it is no whole number of 1 or more.
    """
    if not str(value).isdecimal() or int(str(value)) < 1:
        raise InputError(f"{owner}({name}={value!r}) is wrong. Valid: a whole number, 1 or more.")
    return int(str(value))


def label(settings: Any) -> str:
    """Return the text that names a settings object: its name, and after a colon what differs from the defaults.

    The first setting stands as it is, as ``named`` reads it; others with their names.
    """
    changed = [
        f"{f'{field.name}=' if place else ''}{getattr(settings, field.name)}"
        for place, field in enumerate(fields(settings) if is_dataclass(settings) else ())
        if getattr(settings, field.name) != field.default
    ]
    return ":".join([str(settings.name), *([", ".join(changed)] if changed else [])])
