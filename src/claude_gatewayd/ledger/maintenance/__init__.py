"""The ledger's upkeep, in a process of its own: `python -m claude_gatewayd.ledger.maintenance`.

A worker starts it, and ends it when it ends itself, so that the worker never imports SQLAlchemy and Alembic. It reads
one `job.Job` from standard input, as a line of JSON: a URL may hold a password, which no command line shows. It prints
one `job.Report`, a line of JSON, and exits with the report's outcome as in `job.EXIT_CODES`. Without a report (killed,
out of memory) whoever started it supposes "later".

Jobs:

- "prepare": create the database or bring it forward to this version's tables, so that it can be written. Do so at each
  start, and whenever a write fails for another reason than an outage, then with *is_suspect*. A file of SQLite that is
  damaged is set aside and a new one begun; the report says where the old one is. Harmless however many do it at a time.
- "prune": remove what is older than *keep_days*, in short transactions between which others write. 0 removes nothing.
  With "later" there is more.
- "check": look for damage; change nothing.

A job ends by itself after *seconds*, with "later"; who started it kills it some seconds after that.
"""
