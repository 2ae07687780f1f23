"""Use a library without its side effects: settings and log levels are as before afterwards."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["environment", "quiet_loggers"]


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables inside the block: the only switches that some libraries have."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet_loggers(*names: str) -> Iterator[None]:
    """Let these loggers say warnings and errors alone inside the block."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.WARNING))
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
