"""The tables of ingest. Alembic's history in migrations/ makes them; the hot statements are in store.py.

Positions are (milliseconds since 1970) << 20 | counter: they grow with commit time on one machine and name a day, so that
PostgreSQL partitions the append-only tables by ranges of position and no second index on time is needed.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits on both; SQLite's INTEGER PRIMARY KEY is its row id."""

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True, comment="16-byte hash of tenant and event_id"),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False, comment="16-byte hash of the normalised event"),
    sa.Column("position", BIG, nullable=False),
    sqlite_with_rowid=False,
)

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("key", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("received_ms", BIG, nullable=False),
    sa.Column("flags", sa.Integer, nullable=False),
    sa.Column("traceparent", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("position", BIG, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("user_key", sa.LargeBinary, nullable=False, comment="16-byte hash of tenant and user_id"),
    sa.Column("previous", BIG, nullable=False, comment="position of the viewer's decision before, 0 if none"),
    sa.Column("event_ms", BIG, nullable=False),
    sa.Column("event_class", sa.SmallInteger, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False),
    sa.Column("flags", sa.Integer, nullable=False, comment="item flags"),
)

bodies = sa.Table(
    "bodies",
    metadata,
    sa.Column("position", BIG, primary_key=True),
    sa.Column("event", sa.LargeBinary, nullable=False, comment="serialised usher.event.v1.Event"),
    sa.Column("decision", sa.LargeBinary, nullable=False, comment="serialised usher.decision.v1.Decision"),
)

profiles = sa.Table(
    "profiles",
    metadata,
    sa.Column("id", BIG, primary_key=True),
    sa.Column(
        "key", sa.LargeBinary, nullable=False, unique=True, comment="16-byte hash of tenant and user_id"
    ),
    sa.Column("version", BIG, nullable=False, comment="compare-and-set: each change adds one"),
    sa.Column("last_position", BIG, nullable=False),
    sa.Column(
        "devices", sa.LargeBinary, nullable=False, comment="hashes of the last 16 devices, 4 bytes each"
    ),
    sa.Column("backlog", sa.LargeBinary, nullable=False, comment="positions not yet folded, 8 bytes each"),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="scoring's profile, opaque"),
    sa.Column(
        "facts", sa.LargeBinary, comment="serialised usher.event.v1.AccountFacts, told by the platform"
    ),
    sa.Column("fact_times", sa.LargeBinary, comment="serialised usher.ingest.v1.AccountFactTimes"),
)

failed = sa.Table(
    "failed",
    metadata,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("failed_id", sa.Text, nullable=False, unique=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column(
        "body", sa.LargeBinary, nullable=False, comment="serialised usher.ingest.v1.FailedEvent, see vault.py"
    ),
    sa.Column("failed_ms", BIG, nullable=False, server_default="0"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("component", sa.Text, nullable=False, server_default=""),
    sa.Column("replayed_ms", BIG, nullable=False, server_default="0", comment="0: it was not"),
    sa.Column("replays", sa.Integer, nullable=False, server_default="0"),
    sa.Column("replay_failure", sa.LargeBinary, comment="serialised usher.ingest.v1.Failure"),
    sa.Index("failed_by_tenant", "tenant", "id"),
    sa.Index("failed_by_time", "failed_ms"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("topic", sa.Text, nullable=False, comment="alerts"),
    sa.Column("due_ms", BIG, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("traceparent", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, comment="received, accepted, refused:<reason>, ..."),
    sa.Column("n", BIG, nullable=False),
)

head = sa.Table(
    "head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, comment="always 1"),
    sa.Column("position", BIG, nullable=False, comment="last position given out"),
    sa.Column("sighted_ms", BIG, nullable=False, comment="newest batch time committed that fraud had seen"),
)

unsighted = sa.Table(
    "unsighted",
    metadata,
    sa.Column("position", BIG, primary_key=True, comment="decided while fraud was away"),
)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("import_id", sa.Text, primary_key=True),
    sa.Column("newest_ms", BIG, nullable=False, comment="newest event time of the import"),
)

modes = sa.Table(
    "modes",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("event_class", sa.SmallInteger, primary_key=True),
    sa.Column("mode", sa.SmallInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("set_ms", BIG, nullable=False),
)

activations = sa.Table(
    "activations",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("policy_set", sa.Text, nullable=False),
    sa.Column("activated_ms", BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)

list_entries = sa.Table(
    "list_entries",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("entry_id", sa.Text, nullable=False, unique=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("entity_kind", sa.SmallInteger, nullable=False),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("changed", BIG, nullable=False, comment="position of the last change"),
    sa.Column("expires_ms", BIG, nullable=False, comment="0: never"),
    sa.Column("ended_ms", BIG, nullable=False, comment="0: in force"),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="serialised usher.ingest.v1.ListEntry"),
)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("position", BIG, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("label_id", sa.Text, nullable=False),
    sa.Column("subject_kind", sa.SmallInteger, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("mature_ms", BIG, nullable=False),
    sa.Column("recorded_ms", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="serialised usher.ingest.v1.Label"),
)

enforcements = sa.Table(
    "enforcements",
    metadata,
    sa.Column("position", BIG, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("event_key", sa.LargeBinary, nullable=False, comment="as of the event's receipt"),
    sa.Column("action", sa.SmallInteger, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("component", sa.Text, nullable=False),
    sa.Column("recorded_ms", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="serialised usher.ingest.v1.Enforcement"),
    sa.Index("enforcements_once", "event_key", "action", "purpose", "component", unique=True),
    sa.Index("enforcements_by_tenant", "tenant", "position"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True, comment="public part of the key"),
    sa.Column("digest", sa.LargeBinary, nullable=False, comment="SHA-256 of the secret part"),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("rights", sa.Integer, nullable=False, comment="bit KeyRight of usher.ingest.v1"),
    sa.Column("requests_per_minute", sa.Integer, nullable=False, comment="0: the default"),
    sa.Column("created_ms", BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("expires_ms", BIG, nullable=False, comment="0: never"),
    sa.Column("revoked_ms", BIG, nullable=False, comment="0: not"),
    sa.Column("last_used_ms", BIG, nullable=False, comment="0: never; to the minute"),
    sa.Column("rotated_from", sa.Text, nullable=False),
    sa.Index("api_keys_by_tenant", "tenant", "created_ms"),
)

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("instance", sa.Text, primary_key=True),
    sa.Column("reported_ms", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="serialised usher.ingest.v1.SourceReport"),
)

subscribers = sa.Table(
    "subscribers",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", BIG, nullable=False, comment="position of the last decision handled"),
    sa.Column("acked_ms", BIG, nullable=False),
)

PARTITIONED = (decisions, bodies)
"""Append-only tables that PostgreSQL partitions by day."""

feedback_reports = sa.Table(
    "feedback_reports",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("time_ms", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="serialised usher.ingest.v1.FeedbackReport"),
)

control_hours = sa.Table(
    "control_hours",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("hour", BIG, primary_key=True, autoincrement=False, comment="hours since 1970, UTC"),
    sa.Column("taken", sa.Integer, nullable=False, comment="acts let through for the control group"),
)
