"""Signed documents and the chain of the audit log."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.common import audit, signed

# RFC 8032, section 7.1, TEST 1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
KEY = Ed25519PrivateKey.from_private_bytes(SECRET)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_the_key_of_the_specification() -> None:
    document = signed.sign({"a": 1}, KEY)
    assert base64.b64decode(document["signature"]["public_key"]) == PUBLIC
    assert signed.verify(document, KEY.public_key()) == signed.key_id(KEY.public_key())


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "signature"), values, max_size=5
    )
)
def test_what_was_signed_verifies_and_what_was_changed_does_not(content: dict[str, Any]) -> None:
    document = signed.sign(content, KEY)
    assert signed.verify(document)
    with pytest.raises(signed.SignatureError):
        signed.verify({**document, "added": 1})


@pytest.mark.parametrize("field", ["key_id", "public_key", "value", "algorithm"])
def test_a_signature_that_was_touched_is_refused(field: str) -> None:
    document = signed.sign({"a": 1}, KEY)
    document["signature"][field] = "AAAA"
    with pytest.raises(signed.SignatureError):
        signed.verify(document)


def test_another_key_is_refused() -> None:
    document = signed.sign({"a": 1}, Ed25519PrivateKey.generate())
    with pytest.raises(signed.SignatureError, match="another key"):
        signed.verify(document, KEY.public_key())


def test_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    first = signed.load_or_make_key(tmp_path / "signing.key")
    again = signed.load_or_make_key(tmp_path / "signing.key")
    assert signed.public_pem(first) == signed.public_pem(again)
    assert (tmp_path / "signing.key").stat().st_mode & 0o077 == 0
    secret = signed.load_or_make_secret(tmp_path / "ledger.key")
    assert secret == signed.load_or_make_secret(tmp_path / "ledger.key")
    assert len(secret) == 32


def chain(number: int) -> list[tuple[audit.Entry, bytes]]:
    rows, before = [], audit.FIRST
    for sequence in range(1, number + 1):
        entry = audit.Entry(sequence, sequence * 10, "ann", "acme", "read", f"sr_{sequence}", "", "ok")
        before = audit.link(before, entry)
        rows.append((entry, before))
    return rows


def test_a_whole_chain_holds() -> None:
    rows = chain(5)
    assert audit.check(rows) == (0, rows[-1][1])
    assert audit.check(rows[2:], rows[1][1], 2) == (0, rows[-1][1])


@pytest.mark.parametrize("touched", ["changed", "removed", "inserted", "swapped"])
def test_a_touched_chain_shows_where(touched: str) -> None:
    rows = chain(5)
    if touched == "changed":
        rows[2] = (rows[2][0]._replace(actor="bob"), rows[2][1])
    elif touched == "removed":
        del rows[2]
    elif touched == "inserted":
        rows.insert(2, rows[1])
    else:
        rows[2], rows[3] = rows[3], rows[2]
    assert audit.check(rows)[0] == 3


def test_neighbouring_values_do_not_run_together() -> None:
    one = audit.Entry(1, 0, "ab", "c", "", "", "", "")
    other = audit.Entry(1, 0, "a", "bc", "", "", "", "")
    assert audit.link(audit.FIRST, one) != audit.link(audit.FIRST, other)
