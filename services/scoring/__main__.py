"""Run the scoring service: python -m services.scoring"""

from __future__ import annotations

from services.common.clock import SystemClock
from services.common.config import load
from services.common.policy import PolicySetCache
from services.common.policy_sets import policy_set_service, warm_up
from services.common.server import Service, run, serve
from services.common.subject_data import subject_data
from services.common.telemetry import start_telemetry
from services.scoring.drifting import Drifting
from services.scoring.engine import Engines
from services.scoring.servicer import ScoringServicer
from services.scoring.settings import ScoringSettings
from services.scoring.subject import ScoringSubjects
from usher.scoring.v1 import scoring_pb2_grpc


async def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = load(ScoringSettings, prefix="USHER_SCORING_")
    telemetry = start_telemetry("scoring", settings.telemetry)
    engines = Engines(PolicySetCache(settings.policy_dir))
    await warm_up(engines.get, settings.policy_dir, telemetry)
    services = [
        Service(
            scoring_pb2_grpc.add_ScoringServiceServicer_to_server,
            ScoringServicer(engines),
            "usher.scoring.v1.ScoringService",
        ),
        policy_set_service(engines.get),
        subject_data(ScoringSubjects(), SystemClock()),
    ]
    async with Drifting(engines, settings, telemetry):
        await serve(settings.server, services, healthy=always_healthy, telemetry=telemetry)


async def always_healthy() -> None:
    """Scoring depends on nothing: a policy set that it lacks is the caller's error, told by name."""


if __name__ == "__main__":
    run(main())
