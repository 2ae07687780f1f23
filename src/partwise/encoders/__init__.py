"""Raw columns to numbers: fitted once on training rows, shared by all members."""

from partwise.encoders.identity import NumericEncoder
from partwise.encoders.sampling import SAMPLED_BYTES, bytes_of_rows, encoder_rows, fit_encoder, n_within
from partwise.encoders.table import TableEncoder
from partwise.errors import InputError, unknown_choice
from partwise.protocols import Encoder

__all__ = [
    "ENCODERS",
    "SAMPLED_BYTES",
    "TRUSTED_TYPES",
    "NumericEncoder",
    "TableEncoder",
    "bytes_of_rows",
    "encoder_rows",
    "fit_encoder",
    "make_encoder",
    "n_within",
]

ENCODERS: dict[str, type[Encoder]] = {"numeric": NumericEncoder, "table": TableEncoder}
"""Name to settings class; each can be made without arguments."""

_SKRUB = (
    *("_apply_to_each_col.ApplyToEachCol", "_check_input.CheckInputDataFrame", "_clean_categories.CleanCategories"),
    *("_clean_null_strings.CleanNullStrings", "_dataframe._common.is_any_date", "_dataframe._common.is_categorical"),
    *("_dataframe._common.is_numeric", "_datetime_encoder.DatetimeEncoder", "_drop_uninformative.DropUninformative"),
    *("_duration_to_float.DurationToFloat", "_table_vectorizer.PassThrough", "_table_vectorizer.ShortReprDict"),
    *("_table_vectorizer.TableVectorizer", "_table_vectorizer._created_by_predicate", "_to_datetime.ToDatetime"),
    *("_to_float.ToFloat", "_to_str.ToStr", "selectors._base.All", "selectors._base.And", "selectors._base.Cols"),
    *("selectors._base.Filter", "selectors._base.Sub", "selectors._selectors._cardinality_below"),
)

TRUSTED_TYPES: tuple[str, ...] = (
    *("datetime.timedelta", "datetime.timezone", "numpy.dtype", "pandas.DatetimeTZDtype", "zoneinfo.ZoneInfo"),
    *("partwise.encoders.identity.NumericEncoder", "partwise.encoders.table.TableEncoder"),
    *("partwise.encoders.text.DistinctStringEncoder", "partwise.records.LearnerNeeds"),
    *(f"skrub.{name}" for name in _SKRUB),
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
