"""The identity of user code."""

from orcapod.hashing.code.fingerprint import CODE_METHOD, Fingerprint, fingerprint_function

__all__ = ["CODE_METHOD", "Fingerprint", "fingerprint_function"]
