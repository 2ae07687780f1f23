"""The columns that a stored partition has besides those of the table."""

__all__ = ["PART", "POSITION"]

POSITION = "__partwise_position__"
"""The place of the row in the table."""
PART = "__partwise_part__"
"""With replication: the part of the rows that goes to the same partitions."""
