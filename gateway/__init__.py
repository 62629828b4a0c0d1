"""The HTTP edge of the mesh: JSON in, JSON out, one gRPC call behind each route.

Decides nothing and keeps nothing. Called by OTT backends that do not speak gRPC, and by people; calls
`usher.ingest.v1.IngestService` and no other service.

| module | holds |
|---|---|
| `app` | the routes |
| `edge` | what surrounds each request: Host check, trace, metrics, last resort for errors |
| `body` | reading a body within its limits |
| `problems` | errors as RFC 9457 problems |
| `live` | the live page at `/` and the feed of decisions behind it |
| `results` | what became of events, as JSON and status codes |
| `schemas` | the OpenAPI document's schemas and examples |
| `serving` | the HTTP server and its drain |
| `settings` | settings from the environment |
"""
