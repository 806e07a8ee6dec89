"""How Alembic meets the database: on the connection that ``database.upgrade`` gives it."""

from alembic import context

from tasoc_kit.records.tables import Table

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
