"""The Python client of a streaming platform's backend: asks Usher, and answers by itself where Usher cannot be asked.

    async with UsherClient(ClientSettings(target="dns:///ingest.usher:50051", tenant="acme", api_key=key)) as usher:
        answer = await usher.decide(event)
        if answer.outcome == OUTCOME_BLOCK: ...

`client/fallback.py` says what it answers by itself, `client/breaker.py` when it stops asking, `docs/clients.md` the rest.
It uses the contracts and `services.common`, and nothing of the services.
"""

from client.blocking import BlockingUsherClient
from client.fallback import Answer
from client.usher import ClientSettings, Stats, UsherClient

__all__ = ["Answer", "BlockingUsherClient", "ClientSettings", "Stats", "UsherClient"]
