"""API keys: made, taken apart, judged."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidArgument, PermissionDenied, Unauthenticated
from services.ingest import keys
from services.ingest.keys import KeyRow
from usher.ingest.v1 import keys_pb2

SUBMIT, DECIDE, READ = keys_pb2.KEY_RIGHT_SUBMIT, keys_pb2.KEY_RIGHT_DECIDE, keys_pb2.KEY_RIGHT_READ
NOW = 1_795_000_000_000


def row(digest: bytes, **fields: object) -> KeyRow:
    values: dict[str, object] = {
        "key_id": "abcdefghijkl",
        "digest": digest,
        "tenant": "acme",
        "name": "backend",
        "rights": keys.mask_of([SUBMIT]),
        "requests_per_minute": 0,
        "created_ms": NOW - 1000,
        "actor": "me",
        "expires_ms": 0,
        "revoked_ms": 0,
        "last_used_ms": 0,
        "rotated_from": "",
    }
    return KeyRow(**{**values, **fields})  # type: ignore[arg-type]


def test_a_key_is_kept_as_the_sha256_of_its_secret() -> None:
    key_id, text, digest = keys.new_key()
    prefix, found, secret = text.split("_", 2)
    assert (prefix, found) == ("usk", key_id)
    assert digest == hashlib.sha256(secret.encode()).digest()
    assert keys.taken_apart(text) == (key_id, digest)
    assert len(secret) == 43
    assert keys.new_key()[1] != text


@given(st.text(max_size=200))
def test_any_text_is_a_key_or_invalid(text: str) -> None:
    reason = ""
    try:
        keys.taken_apart(text)
    except Unauthenticated as error:
        reason = error.reason
    assert reason in ("", "KEY_INVALID")


def test_an_unknown_id_and_a_wrong_secret_are_told_alike() -> None:
    _, _, digest = keys.new_key()
    _, _, other = keys.new_key()
    errors = []
    for found in (None, row(other)):
        with pytest.raises(Unauthenticated) as refused:
            keys.judge(found, digest, NOW)
        errors.append((refused.value.reason, refused.value.message))
    assert errors[0] == errors[1]
    assert errors[0][0] == "KEY_INVALID"


def test_a_key_that_ended_is_refused() -> None:
    _, _, digest = keys.new_key()
    assert keys.judge(row(digest, expires_ms=NOW + 1), digest, NOW).tenant == "acme"
    for ended in (row(digest, expires_ms=NOW), row(digest, revoked_ms=NOW - 5)):
        with pytest.raises(Unauthenticated) as refused:
            keys.judge(ended, digest, NOW)
        assert refused.value.reason == "KEY_ENDED"


def test_a_key_opens_its_tenant_and_its_rights() -> None:
    one = row(b"")
    keys.require(one, SUBMIT, "acme")
    with pytest.raises(PermissionDenied) as refused:
        keys.require(one, SUBMIT, "other")
    assert refused.value.reason == "KEY_TENANT"
    with pytest.raises(PermissionDenied) as refused:
        keys.require(one, DECIDE, "acme")
    assert (refused.value.reason, refused.value.metadata["right"]) == ("KEY_RIGHT", "decide")


def test_no_right_named_is_every_right() -> None:
    one = row(b"", rights=keys.mask_of([]))
    assert keys.rights_of(one) == [SUBMIT, DECIDE, READ]
    for unknown in ([0], [99], [-1]):
        with pytest.raises(InvalidArgument):
            keys.mask_of(unknown)


def test_a_message_shows_no_digest() -> None:
    shown = keys.message(row(b"\x01" * 32, expires_ms=NOW))
    assert b"\x01" * 32 not in shown.SerializeToString()
    assert shown.HasField("expire_time")
    assert not shown.HasField("revoke_time")


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "\0"])
def test_names_are_for_people(name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        keys.valid_name(name)
    assert refused.value.reason == "KEY_NAME_INVALID"
