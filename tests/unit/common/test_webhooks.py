"""Signatures of webhooks, the verifier that the documentation prints, and when to try again."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import webhooks

DOCUMENT = Path(__file__).parents[3] / "docs" / "webhooks.md"


def printed_verifier() -> Callable[..., bool]:
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert code is not None
    body = code[1].partition("def ")[2]
    assert len(body.strip().splitlines()) <= 10
    names: dict[str, Any] = {}
    exec(code[1], names)  # the documentation's own words
    verifier: Callable[..., bool] = names["verify"]
    return verifier


def test_the_specifications_example_is_signed_as_it_says() -> None:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    key = webhooks.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = webhooks.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_printed_verifier_takes_a_call_once_and_no_altered_or_old_one() -> None:
    verify, secret, now = printed_verifier(), webhooks.new_secret(), int(time.time())
    key, body = webhooks.key_of(secret), b'{"a":1}'
    headers = webhooks.signed_headers([key], "msg_1", now, body)
    seen: set[str] = set()
    assert not verify(secret, headers, body + b" ", seen)
    assert not verify(secret, {**headers, "webhook-id": "msg_2"}, body, seen)
    assert not verify(secret, {**headers, "webhook-timestamp": str(now + 1)}, body, seen)
    assert not verify(webhooks.new_secret(), headers, body, seen)
    assert verify(secret, headers, body, seen)
    assert not verify(secret, headers, body, seen), "a replay"
    old = webhooks.signed_headers([key], "msg_3", now - 301, body)
    assert not verify(secret, old, body, seen)


@given(body=st.binary(max_size=200), flip=st.integers(0, 10_000), message_id=st.text("abc_019", min_size=1))
def test_any_changed_bit_is_found(body: bytes, flip: int, message_id: str) -> None:
    key = bytes(range(32))
    headers = webhooks.signed_headers([key], message_id, 1_000, body)
    assert webhooks.verify(key, headers, body, now=1_300) == message_id
    changed = bytearray(body or b"\0")
    if body:
        changed[flip // 8 % len(changed)] ^= 1 << flip % 8
    with pytest.raises(ValueError, match="signature"):
        webhooks.verify(key, headers, bytes(changed), now=1_000)


def test_while_a_secret_is_changed_both_fit() -> None:
    old, new = bytes(24), bytes(range(24))
    headers = webhooks.signed_headers([new, old], "m", 1_000, b"x")
    assert webhooks.verify(old, headers, b"x", now=1_000) == "m"
    assert webhooks.verify(new, headers, b"x", now=1_000) == "m"


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(missing: str) -> None:
    headers = webhooks.signed_headers([bytes(24)], "m", 1_000, b"x")
    del headers[missing]
    with pytest.raises(ValueError, match=missing):
        webhooks.verify(bytes(24), headers, b"x", now=1_000)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "secret",
        "whsec_",
        "whsec_###",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "MfKQ9r8GKYqrTwjUPD8I",
    ],
)
def test_a_weak_or_broken_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook"):
        webhooks.key_of(secret)


def test_waits_grow_threefold_up_to_four_hours_and_respect_the_receiver() -> None:
    whole = [webhooks.retry_delay(n, jitter=1.0) for n in range(1, 12)]
    assert whole == [2, 6, 18, 54, 162, 486, 1_458, 4_374, 13_122, 14_400, 14_400]
    assert webhooks.retry_delay(1, jitter=0.0) == 1.0
    assert webhooks.retry_delay(1, 120.0, jitter=1.0) == 120.0
    assert webhooks.retry_delay(12, 10.0, jitter=0.0) == 7_200.0
    assert webhooks.retry_delay(1, 1e9) == 86_400.0
    assert all(9 <= webhooks.retry_delay(3) <= 18 for _ in range(50))
