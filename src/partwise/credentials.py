"""Passwords, keys and tokens that URIs hold, which nobody shall be told."""

import re

__all__ = ["without_credentials", "without_masks"]

# user:password@, with slashes and at-signs in the password as SQLAlchemy takes them, but not host:port/path@more
_USER = re.compile(r"://(?:[^:/\s@]*:(?!\d+(?:/|\s|$))[^\s@]*|[^/\s@]*)(?:@[^/\s@]*)*@")
_QUERY = re.compile(
    r"([?&;](?:[^=&;\s]*(?:password|passwd|pwd|token|secret|sig|signature|credential|key))=)[^&;\s]+", re.IGNORECASE
)


def without_credentials(uri: str) -> str:
    """Return a URI, or a text that holds URIs, with ``***`` in place of users, passwords and tokens.

    Examples
    --------
    >>> without_credentials("postgresql://ann:secret@db.example.org/runs")
    'postgresql://***@db.example.org/runs'
    """
    return _QUERY.sub(r"\1***", _USER.sub("://***@", uri))


def without_masks(uri: str) -> str:
    """Return a URI from which credentials were removed as one that has none: those of the environment then count.

    Examples
    --------
    >>> without_masks("s3://***@bucket/table?scheme=http&session_token=***")
    's3://bucket/table?scheme=http'
    """
    if "***" not in uri:
        return uri
    place, _, settings = uri.replace("://***@", "://").partition("?")
    kept = [each for each in settings.split("&") if each and not each.endswith("=***")]
    return f"{place}?{'&'.join(kept)}" if kept else place
