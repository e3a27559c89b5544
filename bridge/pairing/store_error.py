"""The one error of everything that has to be on disk."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be read or written; the message says what to do."""
