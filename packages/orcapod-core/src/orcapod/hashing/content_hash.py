"""``ContentHash``: the name of a content, and the method that made it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SHORT_DIGITS", "ContentHash"]

SHORT_DIGITS = 12
"""Hex digits of a hash where it only has to tell apart what stands side by side (48 bits)."""


@dataclass(frozen=True, slots=True)
class ContentHash:
    """A digest together with the name of the method that made it.

    Two contents are the same if and only if both fields are equal. A rule that would give other
    digests is a new method: what was ever hashed keeps its hash.

    Attributes:
        method: the rule, for example ``row-v1``.
        digest: its result, 32 bytes.
    """

    method: str
    digest: bytes

    @property
    def hex(self) -> str:
        """The digest in hexadecimal digits."""
        return self.digest.hex()

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits, for names that people read."""
        return self.digest.hex()[:SHORT_DIGITS]

    @classmethod
    def parse(cls, text: str) -> ContentHash:
        """Return the hash that was printed as ``method:hex``.

        Raises:
            ValueError: the text is not of that form.
        """
        method, colon, digits = text.rpartition(":")
        if not colon or not method:
            raise ValueError(f"a content hash is written 'method:hex', found {text!r}")
        return cls(method, bytes.fromhex(digits))

    def __str__(self) -> str:
        return f"{self.method}:{self.hex}"
