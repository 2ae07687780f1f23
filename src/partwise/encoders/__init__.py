"""Raw columns to numbers: fitted once on training rows, shared by all members."""

from partwise.encoders.identity import NumericEncoder
from partwise.encoders.table import TableEncoder
from partwise.errors import InputError, unknown_choice
from partwise.protocols import Encoder

__all__ = ["ENCODERS", "TRUSTED_TYPES", "NumericEncoder", "TableEncoder", "make_encoder"]

ENCODERS: dict[str, type[Encoder]] = {"numeric": NumericEncoder, "table": TableEncoder}
"""Name to settings class; each can be made without arguments."""

TRUSTED_TYPES: tuple[str, ...] = (
    "datetime.timedelta",
    "datetime.timezone",
    "numpy.dtype",
    "pandas.DatetimeTZDtype",
    "partwise.encoders.identity.NumericEncoder",
    "partwise.encoders.table.TableEncoder",
    "partwise.encoders.text.DistinctStringEncoder",
    "partwise.records.LearnerNeeds",
    "skrub._apply_to_each_col.ApplyToEachCol",
    "skrub._check_input.CheckInputDataFrame",
    "skrub._clean_categories.CleanCategories",
    "skrub._clean_null_strings.CleanNullStrings",
    "skrub._dataframe._common.is_any_date",
    "skrub._dataframe._common.is_categorical",
    "skrub._dataframe._common.is_numeric",
    "skrub._datetime_encoder.DatetimeEncoder",
    "skrub._drop_uninformative.DropUninformative",
    "skrub._duration_to_float.DurationToFloat",
    "skrub._table_vectorizer.PassThrough",
    "skrub._table_vectorizer.ShortReprDict",
    "skrub._table_vectorizer.TableVectorizer",
    "skrub._table_vectorizer._created_by_predicate",
    "skrub._to_datetime.ToDatetime",
    "skrub._to_float.ToFloat",
    "skrub._to_str.ToStr",
    "skrub.selectors._base.All",
    "skrub.selectors._base.And",
    "skrub.selectors._base.Cols",
    "skrub.selectors._base.Filter",
    "skrub.selectors._base.Sub",
    "skrub.selectors._selectors._cardinality_below",
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
