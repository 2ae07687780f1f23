"""Raw columns to numbers: fitted once on training rows, shared by all members."""

from partwise.encoders.identity import NumericEncoder
from partwise.encoders.table import TableEncoder
from partwise.errors import InputError, unknown_choice
from partwise.protocols import Encoder

__all__ = ["ENCODERS", "TRUSTED_TYPES", "NumericEncoder", "TableEncoder", "make_encoder"]

ENCODERS: dict[str, type[Encoder]] = {"numeric": NumericEncoder, "table": TableEncoder}
"""Name to settings class; each can be made without arguments."""

TRUSTED_TYPES: tuple[str, ...] = (
    "partwise.encoders.identity.NumericEncoder",
    "partwise.encoders.levels.Codes",
    "partwise.encoders.levels.Levels",
    "partwise.encoders.levels.OneHot",
    "partwise.encoders.numbers.Measures",
    "partwise.encoders.numbers.Moments",
    "partwise.encoders.numbers.Numbers",
    "partwise.encoders.table.TableEncoder",
    "partwise.encoders.text.Embedding",
    "partwise.records.LearnerNeeds",
    "skrub._datetime_encoder.DatetimeEncoder",
)
"""The type names, beyond those skops trusts by itself, that a fitted encoder holds; give them to ``skops.io.load``."""


def make_encoder(encoder: str | Encoder) -> Encoder:
    """Return the encoder of this name; an object is returned as it is.

    Raises
    ------
    InputError
        If the name is unknown, or the object is no encoder.
    """
    if not isinstance(encoder, str):
        if not all(callable(getattr(encoder, method, None)) for method in ("fit", "transform")):
            raise InputError(
                f"encoder={encoder!r} is no encoder. Give one of {', '.join(ENCODERS)}, or an object with `fit` and "
                "`transform` (see partwise.protocols.Encoder)."
            )
        return encoder
    if encoder not in ENCODERS:
        raise unknown_choice("encoder", encoder, ENCODERS)
    return ENCODERS[encoder]()
