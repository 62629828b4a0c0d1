"""The one Alembic environment of all services: runs on the connection and schema that migrations.migrate
passes."""

from alembic import context

_attributes = context.config.attributes

context.configure(
    connection=_attributes["connection"],
    version_table=_attributes["version_table"],
    version_table_schema=_attributes["schema"] or None,
    # One transaction for the whole upgrade, which migrate() began: on SQLite too, DDL is transactional there.
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
