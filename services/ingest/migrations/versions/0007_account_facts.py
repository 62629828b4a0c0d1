"""Facts of accounts beside their profiles."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("profiles", sa.Column("facts", sa.LargeBinary))
    op.add_column("profiles", sa.Column("fact_times", sa.LargeBinary))


def downgrade() -> None:
    for column in ("fact_times", "facts"):
        op.drop_column("profiles", column)
