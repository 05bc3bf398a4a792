"""`chance`: a random number that follows from what it is drawn for, and from nothing else."""

from __future__ import annotations

from hashlib import blake2b


def chance(*parts: str | int) -> int:
    """64 bits that are the same for equal parts, in every process and for a run that was resumed."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest())
