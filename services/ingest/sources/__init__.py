"""Sources: processes of their own that read events elsewhere and hand them to ingest's Submit door.

    python -m services.ingest.sources        settings in USHER_SOURCE_*; `usher source` sets them from options

    read      kafka.py, stream.py (Redis), lines.py (file, stdin)     records of a lane, in order
    map       records.py            JSON or protobuf -> Event; what is none becomes an event that fails
    deliver   delivery.py           SubmitEvents, until every record has its ending
    settle    kafka.py, ...         only now: offset committed, entry acknowledged, position written
    report    pump.py               how far behind, every 5 s

A source keeps nothing of its own: killed at any moment, it or another process begins after what was settled, and
what is handed over twice meets its receipt.
"""
