"""What every service of the mesh uses: servers, clients, errors, settings, telemetry, databases, policy sets.

A library, not a service: it decides nothing, owns no data and imports no service.

| module | gives |
|---|---|
| `errors` | the typed errors, the one table from type to status code, and their form on the wire |
| `config` | settings from the environment; every problem is listed at once |
| `telemetry` | traces (W3C), JSON logs, metrics |
| `transport` | the limits and timings that both ends of a connection must agree on |
| `interceptors` | what surrounds each call: tracing, metrics, errors, deadline, authorisation |
| `callers` | who may call which RPC: the mTLS allow-list |
| `server`, `client` | the one way to serve and the one way to connect |
| `clock` | wall time as the contracts carry it |
"""
