"""Keys and fingerprints never change: rows of every release are found by them."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from services.ingest import items, receipts


def by_hand(content: bytes, size: int, person: bytes, salt: bytes = b"") -> bytes:
    """BLAKE2b (RFC 7693) with its parameter block, in the way of hashlib's documentation."""
    return hashlib.blake2b(content, digest_size=size, person=person, salt=salt).digest()


def test_keys() -> None:
    assert receipts.event_key("acme", "e1") == by_hand(b"acme\x00e1", 16, b"usher-event")
    assert receipts.user_key("acme", "e1") == by_hand(b"acme\x00e1", 16, b"usher-user")
    assert receipts.fingerprint(b"x") == by_hand(b"x", 16, b"usher-print", b"1")
    assert receipts.device_hash("d1") == by_hand(b"d1", 4, b"usher-device")


def test_no_two_pairs_share_a_key_by_their_concatenation() -> None:
    assert receipts.event_key("a", "bc") != receipts.event_key("ab", "c")
    assert receipts.event_key("acme", "e1") != receipts.user_key("acme", "e1")


def test_keys_are_the_same_in_another_process() -> None:
    code = "from services.ingest import receipts; print(receipts.event_key('acme', 'e1').hex())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == receipts.event_key("acme", "e1").hex()


def test_shards_cover_0_to_63() -> None:
    shards = [receipts.shard(receipts.user_key("acme", f"u{n}")) for n in range(2000)]
    assert set(shards) == set(range(64))


def test_item_flags_are_the_bits_of_the_contract() -> None:
    # usher.event.v1.ItemFlag: 1 << value.
    assert (items.FOLD_ONLY, items.LATE, items.OLD, items.NO_FRAUD) == (2, 4, 8, 16)
    assert (items.NO_COMPLIANCE, items.IMPORT, items.SUPPRESSED) == (32, 64, 128)
