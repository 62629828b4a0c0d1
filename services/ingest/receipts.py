"""Hashes under which events and viewers are kept: stable between processes and releases, and no personal data."""

from __future__ import annotations

from hashlib import blake2b

CANONICALISATION = b"1"
"""Version of the form that fingerprints are taken of; a change makes old repeats look like conflicts, so it is hashed in."""

SHARDS = 64

# Copied for each hash: that is a third cheaper than making one from its parameters.
_EVENT = blake2b(digest_size=16, person=b"usher-event")
_USER = blake2b(digest_size=16, person=b"usher-user")
_PRINT = blake2b(digest_size=16, person=b"usher-print", salt=CANONICALISATION)
_DEVICE = blake2b(digest_size=4, person=b"usher-device")


def _hashed(empty: blake2b, content: bytes) -> bytes:
    digest = empty.copy()
    digest.update(content)
    return digest.digest()


def event_key(tenant: str, event_id: str) -> bytes:
    """16 bytes for (tenant, event_id): the receipt's key."""
    return _hashed(_EVENT, f"{tenant}\0{event_id}".encode())


def user_key(tenant: str, user_id: str) -> bytes:
    """16 bytes for (tenant, user_id): the profile's key."""
    return _hashed(_USER, f"{tenant}\0{user_id}".encode())


def fingerprint(canonical_event: bytes) -> bytes:
    """16 bytes for the content of a normalised event in deterministic serialisation, before enrichment."""
    return _hashed(_PRINT, canonical_event)


def device_hash(device_id: str) -> bytes:
    """4 bytes for a device of one viewer."""
    return _hashed(_DEVICE, device_id.encode())


def shard(key: bytes) -> int:
    """Inbox shard of a viewer, 0 to 63."""
    return key[0] % SHARDS
