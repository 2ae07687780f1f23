"""Read parameters as users type them, ``key=value``."""

from ast import literal_eval
from collections.abc import Sequence
from typing import Any

from partwise.errors import ConfigurationError

__all__ = ["parse_parameters"]

# Spellings of shells, YAML and JSON that are no Python literals; YAML itself would read 1e-3 as text and `on` as True.
_WORDS = {"true": True, "false": False, "none": None, "null": None} | {
    word: float(word) for word in ("nan", "inf", "-inf")
}

_OPENING = tuple("([{'\"")


def parse_parameters(items: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` items: Python literals, the words true, false, none, null, nan, inf and -inf, or else text.

    Raises
    ------
    ConfigurationError
        When items have no key or no value, repeat a key, or begin as a list or a quoted text and do not end as one;
        it lists every one.

    Examples
    --------
    >>> parse_parameters(["C=1e-3", "hidden_layer_sizes=(64, 32)", "max_features=sqrt", "warm_start=true"])
    {'C': 0.001, 'hidden_layer_sizes': (64, 32), 'max_features': 'sqrt', 'warm_start': True}
    """
    parsed: dict[str, Any] = {}
    mistakes: list[str] = []
    for item in items:
        key, equals, text = (part.strip() for part in item.partition("="))
        if not (key and equals and text):
            mistakes.append(f"Parameter {item!r} is not of the form key=value. Example: max_depth=3.")
        elif key in parsed:
            mistakes.append(f"Parameter {key!r} is given more than once, again as {text!r}. Give it once.")
        else:
            parsed[key] = _value(text)
            if parsed[key] == text and text.startswith(_OPENING):
                mistakes.append(
                    f"Parameter {item!r} has a value that begins as a list or a quoted text, but cannot be read. "
                    "Valid: Python literals such as [64, 32], (64, 32) or 'text'. Check brackets and quotes."
                )
    if mistakes:
        raise ConfigurationError(mistakes)
    return parsed


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):  # this is how it says that a text is no literal
        return text
