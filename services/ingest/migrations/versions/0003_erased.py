"""Who was erased."""

from alembic import op

from services.common.erased import columns, marker_columns

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("erased", *columns(), sqlite_with_rowid=False)
    op.create_table("erased_marker", *marker_columns())
