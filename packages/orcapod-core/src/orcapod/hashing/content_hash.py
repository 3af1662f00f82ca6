"""``ContentHash``: the name of a content, and the method that made it."""

from __future__ import annotations

from dataclasses import dataclass

from orcapod.checks import Checks

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
            ConfigError: the text is not of that form.
        """
        check = Checks("ContentHash")
        method, _, digits = check.text("text", text).rpartition(":")
        try:
            digest = bytes.fromhex(digits)
        except ValueError:
            digest = b""
        if not method or not digest:
            raise check.wrong("text", text, "a hash as it is printed, 'method:hex'", "give all of it")
        return cls(method, digest)

    def __str__(self) -> str:
        return f"{self.method}:{self.hex}"
