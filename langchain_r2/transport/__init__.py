"""The one way to a model: every call of every role goes through :meth:`Transport.call`.

It owns the tries, the deadline, the limits per model, the reservation of money and the row in the ledger. A failed call
is an outcome, not an exception; only wrong configuration and an exhausted budget raise.
"""

from langchain_r2.transport.bounds import expected_usd, reply_limit, worst_input_tokens, worst_usd
from langchain_r2.transport.call import Call, Outcome, Reply
from langchain_r2.transport.engine import Transport
from langchain_r2.transport.failures import classify
from langchain_r2.transport.replies import read_reply
from langchain_r2.transport.spans import annotate

__all__ = [
    "Call",
    "Outcome",
    "Reply",
    "Transport",
    "annotate",
    "classify",
    "expected_usd",
    "read_reply",
    "reply_limit",
    "worst_input_tokens",
    "worst_usd",
]
