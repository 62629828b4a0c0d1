"""Settings: loopback only while nobody is authenticated."""

from __future__ import annotations

import pytest

from gateway.settings import GatewaySettings
from services.common import config
from services.common.client import ClientSettings
from services.common.config import ConfigError

ENV = {"USHER_GATEWAY_INGEST_TARGET": "unix:/run/usher/ingest.sock"}


def test_names_and_defaults() -> None:
    settings = config.load(GatewaySettings, ENV, prefix="USHER_GATEWAY_")
    assert settings.ingest.target == "unix:/run/usher/ingest.sock"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.default_tenant == "dev"
    assert settings.request_timeout == 2.0
    assert settings.max_body_bytes == 4 * 1024 * 1024


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "usher.example"])
def test_beyond_loopback_it_does_not_start(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(GatewaySettings, {**ENV, "USHER_GATEWAY_HOST": host}, prefix="USHER_GATEWAY_")
    assert "no authentication is configured" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_every_problem_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        GatewaySettings(
            ingest=ClientSettings(target="unix:/a"), port=70_000, default_tenant="Dev!", request_timeout=0
        )
    assert len(caught.value.problems) == 3


def test_an_unknown_name_is_a_problem() -> None:
    with pytest.raises(ConfigError, match="USHER_GATEWAY_PROT"):
        config.load(GatewaySettings, {**ENV, "USHER_GATEWAY_PROT": "80"}, prefix="USHER_GATEWAY_")
