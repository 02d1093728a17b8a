"""The command line: ``langchain-r2 ask | resume | batch | replay | trace | draw | eval | calibrate | pool | ...``.

Exit codes: 0 every query was answered (a best effort is an answer), 2 wrong use (nothing was run), 3 some query was not
answered, 130 interrupted.
"""

from langchain_r2.cli.commands import app, main

__all__ = ["app", "main"]
