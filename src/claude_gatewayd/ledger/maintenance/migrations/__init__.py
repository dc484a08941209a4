"""The revisions of the ledger's tables, for Alembic: `versions/` has one module for each.

An older generation may still write while a newer one has brought the tables forward. So a released revision is never
edited, and a new one only adds: tables, indexes, columns that are null or have a default in the database. Each runs in
one transaction, on both databases; on PostgreSQL the schema is first on the search path.
"""
