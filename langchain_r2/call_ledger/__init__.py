"""The call ledger: what a run was asked and every call that it made, written down before anybody acts on it."""

from langchain_r2.call_ledger.base import Admission, CallEntry, CallLedgerStore, Run, Spent
from langchain_r2.call_ledger.store import CallLedger
from langchain_r2.call_ledger.waiting import committed

__all__ = ["Admission", "CallEntry", "CallLedger", "CallLedgerStore", "Run", "Spent", "committed"]
