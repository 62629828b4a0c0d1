"""Deadline arithmetic, targets, and the service config."""

from __future__ import annotations

import json

import pytest

from services.common.callers import identity_of, may_call
from services.common.client import ClientSettings, grpc_target, service_config
from services.common.errors import DeadlineExceeded
from services.common.interceptors import call_timeout
from services.common.transport import is_loopback, split_host_port


@pytest.mark.parametrize(
    ("configured", "remaining", "expected"),
    [
        (2.0, None, 2.0),
        (2.0, 10.0, 2.0),
        (2.0, 1.5, 1.48),  # 20 ms are kept back
        (2.0, 2.02, 2.0),
        (0.3, 0.31, 0.29),
        (2.0, 0.026, 0.006),
    ],
)
def test_a_call_gets_what_is_left_minus_the_reserve(
    configured: float, remaining: float | None, expected: float
) -> None:
    assert call_timeout(configured, remaining, "a.B/C") == pytest.approx(expected)


@pytest.mark.parametrize("remaining", [0.0, 0.01, 0.024])
def test_a_call_that_could_only_fail_is_not_made(remaining: float) -> None:
    with pytest.raises(DeadlineExceeded, match=r"a\.B/C") as caught:
        call_timeout(2.0, remaining, "/a.B/C")
    assert caught.value.reason == "DEADLINE_TOO_SHORT"
    assert caught.value.metadata["remaining_ms"] == f"{remaining * 1000:.0f}"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:/run/a.sock, unix:/run/b.sock", "unix:/run/a.sock,/run/b.sock"),
        ("127.0.0.1:1", "ipv4:127.0.0.1:1"),
        ("127.0.0.1:1,127.0.0.2:2", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        ("localhost:5", "ipv4:127.0.0.1:5"),
        ("[::1]:1,[::1]:2", "ipv6:[::1]:1,[::1]:2"),
        ("dns:///fraud.usher.svc:50051", "dns:///fraud.usher.svc:50051"),
        ("fraud.usher.svc:50051", "dns:///fraud.usher.svc:50051"),
    ],
)
def test_targets(target: str, expected: str) -> None:
    assert grpc_target(target) == expected


@pytest.mark.parametrize(
    "target",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:x",
        "127.0.0.1:70000",
        "127.0.0.1:1,,127.0.0.1:2",
        "unix:relative.sock",
        "unix:/a.sock,127.0.0.1:1",
        "127.0.0.1:1,[::1]:1",
        "a:1,b:1",
        "dns:///a:1,b:1",
        "dns:///a",
        "::1:50",
    ],
)
def test_targets_of_no_known_form_are_refused(target: str) -> None:
    with pytest.raises(ValueError, match=r"target|host:port|port|brackets"):
        ClientSettings(target)


def test_timeouts_are_above_zero() -> None:
    with pytest.raises(ValueError, match="timeout"):
        ClientSettings("127.0.0.1:1", timeout=0)


def test_only_listed_methods_are_retried_and_no_timeout_is_configured() -> None:
    config = json.loads(service_config(["/usher.fraud.v1.FraudService/AssessEvents"]))

    (method,) = config["methodConfig"]
    assert method["name"] == [{"service": "usher.fraud.v1.FraudService", "method": "AssessEvents"}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert method["retryPolicy"]["maxAttempts"] == 3
    assert "timeout" not in method
    assert config["retryThrottling"]["maxTokens"] > 0
    assert config["healthCheckConfig"] == {"serviceName": ""}
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert "methodConfig" not in json.loads(service_config([]))


@pytest.mark.parametrize("method", ["", "AssessEvents", "/a.B/", "/a/b/c"])
def test_a_retried_method_has_a_full_name(method: str) -> None:
    with pytest.raises(ValueError, match="full method name"):
        service_config([method])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_host_and_port() -> None:
    assert split_host_port("[::1]:0") == ("::1", 0)
    assert split_host_port("a.b:65535") == ("a.b", 65535)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([b"ingest"], "ingest"),
        ([b"ingest.usher.svc.cluster.local"], "ingest"),
        ([b"spiffe://usher/ns/prod/ingest"], "ingest"),
        ([b"ingest", b"alerts"], "ingest"),
        ([b""], None),
        ([], None),
    ],
)
def test_identity_is_the_certificates_first_name(names: list[bytes], expected: str | None) -> None:
    assert identity_of({"x509_subject_alternative_name": names}) == expected
    assert identity_of({"x509_common_name": [b"ingest"]}) is None


def test_what_is_not_in_the_table_is_for_nobody() -> None:
    table = {"/a.B/C": frozenset({"ingest"})}

    assert may_call(table, "/a.B/C", "ingest")
    assert not may_call(table, "/a.B/C", "alerts")
    assert not may_call(table, "/a.B/D", "ingest")
    assert not may_call({}, "/a.B/C", "ingest")
