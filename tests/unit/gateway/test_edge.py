"""Host check and route templates."""

from __future__ import annotations

import pytest

from gateway.edge import host_allowed, route_template


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LocalHost:8000",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.5.0.1:80",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_this_machine(host: str) -> None:
    assert host_allowed(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "localhost:80:80",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "10.0.0.1:8000",
        "::1",
        "[127.0.0.1]",
        "[::1",
        "localhost:evil",
        "user@localhost",
        "localhost ",
        "2130706433",
    ],
)
def test_another_name(host: str | None) -> None:
    assert not host_allowed(host)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/events", "/events"),
        ("/api/v1/decisions", "/api/v1/decisions"),
        ("/api/v1/decisions/evt_1", "/api/v1/decisions/{event_id}"),
        ("/api/v1/decisions/a/b", "/api/v1/decisions/{event_id}"),
        ("/api/v1/decisions/", "other"),
        ("/", "/"),
        ("/api/v1/decision-stream", "/api/v1/decision-stream"),
        ("/static/live/main.js", "/static/{file}"),
        ("/user_42", "other"),
    ],
)
def test_labels_hold_templates(path: str, template: str) -> None:
    assert route_template(path) == template
