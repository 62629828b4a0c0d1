from __future__ import annotations

import base64

import pytest

from services.alerts import paging
from services.common.errors import InvalidArgument
from usher.alerts.v1 import alerts_pb2

ALERT = "alert_" + "0f" * 16
NS = 1_795_348_800_123_456_789


def listed(tenant: str, severity: int) -> str:
    request = alerts_pb2.ListAlertsRequest(tenant=tenant, minimum_severity=severity, page_size=7)  # type: ignore[arg-type]
    return paging.list_name(request)


def test_a_token_continues_the_list_it_was_made_for() -> None:
    token = paging.encode(listed("acme", 3), NS, ALERT)

    assert paging.decode(token, listed("acme", 3)) == (NS, ALERT)


@pytest.mark.parametrize(("tenant", "severity"), [("other", 3), ("acme", 0)])
def test_a_token_of_another_list_is_refused(tenant: str, severity: int) -> None:
    token = paging.encode(listed("acme", 3), NS, ALERT)

    with pytest.raises(InvalidArgument) as caught:
        paging.decode(token, listed(tenant, severity))
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize("token", ["x", "é", "AAAA", base64.urlsafe_b64encode(b"\0" * 33).decode()])
def test_a_token_that_was_not_made_here_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        paging.decode(token, listed("acme", 3))
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(("asked", "size"), [(0, 100), (1, 1), (1000, 1000)])
def test_page_sizes(asked: int, size: int) -> None:
    assert paging.page_size(asked) == size


@pytest.mark.parametrize("asked", [-1, 1001])
def test_page_sizes_out_of_bounds_are_refused(asked: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        paging.page_size(asked)
    assert caught.value.reason == "PAGE_SIZE_INVALID"
