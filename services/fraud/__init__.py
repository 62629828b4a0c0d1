"""Fraud: who is tied to whom, and from where.

Decides nothing: it answers signals (place, velocity, shared devices and payment instruments, rings) with evidence.
Owns the memory of sightings (sets keyed by event id, in process with snapshots or in Redis) and, in its database,
the ids of rings with their lineage. Called by ingest (AssessEvents, Restore) and the gateway (ListRings).
"""
