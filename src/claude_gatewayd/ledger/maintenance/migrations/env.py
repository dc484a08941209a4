"""What Alembic runs to migrate; `migrate` gives it a connection in a transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=context.config.attributes["schema"],
)
context.run_migrations()
