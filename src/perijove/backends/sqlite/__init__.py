"""The journal's table in SQLite. In: a path. Out: the port `Ledger`; what the doctor sees of the file. Not pure."""

from perijove.backends.sqlite.ledger import SqliteLedger
from perijove.backends.sqlite.looking import look

__all__ = ["SqliteLedger", "look"]
