"""What analysts found of rings, and whom they dismissed.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # usher.fraud.v1.RingStatus; 1 is open.
    op.add_column("rings", sa.Column("status", sa.Integer, nullable=False, server_default="1"))
    op.add_column("rings", sa.Column("decided_by", sa.String(255), nullable=False, server_default=""))
    op.add_column("rings", sa.Column("decided_ms", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("rings", sa.Column("note", sa.String(2000), nullable=False, server_default=""))
    # Members when it was decided: a dismissed group is known again after it fell apart, a confirmed member stays one.
    op.create_table(
        "ring_verdicts",
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("ring_id", sa.String(21), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "account"),
    )
    op.create_index("ring_verdicts_by_ring", "ring_verdicts", ["tenant", "ring_id"])


def downgrade() -> None:
    op.drop_table("ring_verdicts")
    for column in ("note", "decided_ms", "decided_by", "status"):
        op.drop_column("rings", column)
