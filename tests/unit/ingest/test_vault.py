"""Sealing: only with its key, only unchanged, only in its own row."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.common.errors import FailedPrecondition
from services.ingest.vault import Vault, parse_keys
from usher.ingest.v1 import ingest_pb2

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def failed(failed_id: str = "failed_1") -> ingest_pb2.FailedEvent:
    return ingest_pb2.FailedEvent(failed_id=failed_id, tenant="dev", event_id="e1", payload=b"personal")


def test_without_keys_it_is_kept_as_it_is() -> None:
    body = Vault().seal(failed())
    assert body == failed().SerializeToString()
    assert Vault({"a": KEY}).open(body) == failed()


def test_what_is_sealed_is_aes_gcm_bound_to_its_row() -> None:
    body = ingest_pb2.FailedEvent.FromString(Vault({"a": KEY}).seal(failed()))
    assert b"personal" not in body.payload
    plain = AESGCM(KEY).decrypt(body.payload[:12], body.payload[12:], b"dev\0failed_1\0a")
    assert plain == b"personal"


def test_no_two_seals_are_equal() -> None:
    vault = Vault({"a": KEY})
    assert vault.seal(failed()) != vault.seal(failed())


@pytest.mark.parametrize("keys", [{}, {"b": KEY}, {"a": OTHER}])
def test_without_its_key_it_is_locked(keys: dict[str, bytes]) -> None:
    one = Vault(keys).open(Vault({"a": KEY}).seal(failed()))
    assert (one.locked, one.payload, one.event_id) == (True, b"", "e1")


def test_a_payload_of_another_row_or_a_changed_one_is_locked() -> None:
    vault = Vault({"a": KEY})
    moved = ingest_pb2.FailedEvent.FromString(vault.seal(failed()))
    moved.failed_id = "failed_2"
    assert vault.open(moved.SerializeToString()).locked
    changed = ingest_pb2.FailedEvent.FromString(vault.seal(failed()))
    changed.payload = changed.payload[:-1] + bytes([changed.payload[-1] ^ 1])
    assert vault.open(changed.SerializeToString()).locked
    changed.payload = b"x"
    assert vault.open(changed.SerializeToString()).locked


def test_keys_are_read_in_their_order() -> None:
    text = f"# newest first\nb:{base64.b64encode(OTHER).decode()}\n\na:{base64.b64encode(KEY).decode()}\n"
    assert list(parse_keys(text).items()) == [("b", OTHER), ("a", KEY)]


GOOD = f"a:{base64.b64encode(KEY).decode()}"


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "a", "a:", "a:AAAA", GOOD[1:], "a:not base64", f"a {GOOD}", f"{GOOD}\n{GOOD}"]
)
def test_a_key_file_that_is_none(text: str) -> None:
    with pytest.raises(FailedPrecondition) as error:
        parse_keys(text)
    assert error.value.reason == "FAILED_KEYS_INVALID"
    assert base64.b64encode(KEY).decode() not in error.value.message
