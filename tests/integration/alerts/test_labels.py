"""What a resolution says reaches ingest as labels, also when ingest is away at first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import FakeMesh, running_ingest, until
from tests.integration.alerts.process import running
from tests.unit.alerts.messages import message
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import labels_pb2


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (alerts_pb2.INCIDENT_STATE_RESOLVED, labels_pb2.LABEL_KIND_FRAUD_CONFIRMED),
        (alerts_pb2.INCIDENT_STATE_FALSE_ALARM, labels_pb2.LABEL_KIND_FALSE_ALARM),
    ],
)
async def test_labels_of_an_ended_incident_reach_ingest_once_it_is_there(
    short_tmp_path: Path, state: alerts_pb2.IncidentState, kind: labels_pb2.LabelKind
) -> None:
    folder = short_tmp_path / "m"
    folder.mkdir()
    mesh = FakeMesh(folder)
    async with mesh:
        env = {"USHER_ALERTS_INGEST_TARGET": f"unix:{folder}/ingest.sock"}
        url = f"sqlite:///{short_tmp_path}/a.db"
        async with running(short_tmp_path, url, **env) as alerts:
            await alerts.raise_(message(severity=alerts_pb2.SEVERITY_CRITICAL), message("e2", entity="u2"))
            (incident,) = (
                await alerts.stub.ListIncidents(alerts_pb2.ListIncidentsRequest(tenant="acme"), timeout=20)
            ).incidents
            change = alerts_pb2.UpdateIncidentRequest(
                tenant="acme", number=incident.number, actor="ann", state=state
            )
            await alerts.stub.UpdateIncident(change, timeout=20)
            async with running_ingest(f"sqlite:///{short_tmp_path}/i.db", mesh) as front:

                async def labels() -> list[labels_pb2.Label]:
                    request = labels_pb2.ListLabelsRequest(tenant="acme")
                    return list((await front.labels.ListLabels(request)).labels)

                async def arrived() -> bool:
                    return len(await labels()) == 1

                await until(arrived, 30.0)
                (label,) = await labels()
    assert (label.subject, label.kind) == ("e1", kind)
    assert (label.source, label.reference, label.actor) == ("incident", "INC-2026-00001", "ann")
