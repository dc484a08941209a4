"""How rows get into a database: plain SQL over the DBAPI, as SQLAlchemy takes 18 MB, and 0.2 s of the interpreter."""
