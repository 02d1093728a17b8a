"""Checks answers to puzzles in sandboxes.

Two phases. An answer that is code runs in one sandbox, which yields nothing but a text that claims to be its value. A
second, fresh one reads that text as data, sees to its exact type and asks the puzzle; no code of a model has run there,
so nobody could forge what it says. An answer that is a value needs the second only.
"""

import os
import secrets
import signal
import threading
import warnings
from types import TracebackType
from typing import Final, Literal

from langchain_r2.errors import BadValueError, SandboxError
from langchain_r2.evals.grading.code import CodeTask, CodeVerdict
from langchain_r2.evals.sandbox.client import Outcome, SupervisorClient
from langchain_r2.evals.sandbox.launch import Limits, contained, plain

_VERDICT_BYTES: Final = 4096
_SPARES: Final = 4
"""Most sandboxes that are kept waiting; each takes some 10 MB."""
_TRIAL: Final = CodeTask("def sat(x: int):\n    return x == 7", "int", "7", "value")
_HINT: Final = (
    "Where code of models may do whatever you may (a machine of its own, say), pass allow_unsafe_execution=True."
)
_ESCAPES: Final = """\
def sol():
    import _socket, os
    done = ""
    for name, act in {
        "socket ": _socket.socket,
        "fork ": lambda: os.fork() or os._exit(0),
        "write ": lambda: (os.mkdir("/r2-trial"), os.rmdir("/r2-trial")),
        "proc ": lambda: os.listdir("/proc"),
        "home ": lambda: os.listdir("/home"),
    }.items():
        try:
            act()
            done += name
        except OSError:
            pass
    if done:
        raise OSError(done + "got out")
    return done
"""


class SandboxChecker:
    """A ``CodeChecker`` that contains what it runs. Use it from any thread, and close it when done."""

    def __init__(
        self, *, workers: int | None = None, limits: Limits | None = None, allow_unsafe_execution: bool = False
    ) -> None:
        """Start the supervisor and see that containment holds.

        Args:
            workers: Sandboxes at a time; None: one a processor.
            limits: What each may take.
            allow_unsafe_execution: Where no sandbox can be made, run the code with limits of time and memory only:
                it can then do whatever you can. A warning says that it came to this.

        Raises:
            SandboxError: No sandbox can be made here.
            BadValueError: A value that is not allowed.
        """
        self.limits = limits or Limits()
        self.limits.check()
        workers = (os.cpu_count() or 1) if workers is None else workers
        if workers < 1:
            raise BadValueError("workers", workers, "a whole number from 1 up")
        self._workers, self._free = workers, threading.BoundedSemaphore(workers)
        self._turn = threading.Lock()
        self._closed = False
        self._client: SupervisorClient | None = None
        self._owner = 0
        self.contained = True
        try:
            self._launch = contained(self.limits)
            self._try()
        except SandboxError as error:
            self._stop()
            if not allow_unsafe_execution:
                raise SandboxError(error.problem, error.hint + " " * bool(error.hint) + _HINT) from error
            message = f"Code of models runs without a sandbox, with all your rights: {error.problem}."
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            self.contained, self._launch = False, plain(self.limits)

    def check(self, task: CodeTask) -> CodeVerdict:
        """Whether an answer satisfies a puzzle. What the checker itself fails at is ``undecided``."""
        with self._free:
            try:
                if task.form == "value":
                    return self._judged(task, "literal", task.answer.encode("utf-8", "surrogatepass"))
                return self._solved(task)
            except SandboxError as error:
                return CodeVerdict("undecided", error.problem)

    def close(self) -> None:
        """End the supervisor and what is under way; a checker that is closed decides nothing more."""
        with self._turn:
            self._closed = True
            self._stop()

    def __enter__(self) -> "SandboxChecker":
        """Use it in a ``with`` statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _try(self) -> None:
        """One right answer has to pass, and nothing may come of one that tries to get out."""
        verdict = self.check(_TRIAL)
        if verdict.status != "satisfied":
            raise SandboxError(f"a sandbox does not work on this machine: {verdict.reason or verdict.status}")
        quiet = CodeTask("def sat(done: str):\n    return done == ''", "str", _ESCAPES, "code")
        verdict = self.check(quiet)
        if verdict.status != "satisfied":
            raise SandboxError(f"a sandbox does not hold on this machine: {verdict.reason or verdict.status}")

    def _solved(self, task: CodeTask) -> CodeVerdict:
        done = self._run("solve", task, task.answer.encode("utf-8", "surrogatepass"))
        report = done.report[len(b"ready\n") :].rstrip(b"\n")
        if fault := _fault(done, self.limits):
            return CodeVerdict("not_satisfied", fault)
        if not report.startswith(b"value "):
            why = report.removeprefix(b"failed ") if report.startswith(b"failed ") else b"sol() gave no value"
            return CodeVerdict("not_satisfied", _shown(why))
        return self._judged(task, "json", report.removeprefix(b"value "))

    def _judged(self, task: CodeTask, form: Literal["literal", "json"], value: bytes) -> CodeVerdict:
        nonce = secrets.token_hex(16)
        done = self._run(form, task, value, nonce)
        if fault := _fault(done, self.limits):
            return CodeVerdict("not_satisfied", fault)
        if done.report == f"ready\n{nonce} satisfied\n".encode():
            return CodeVerdict("satisfied")
        said = done.report.removeprefix(f"ready\n{nonce} failed ".encode())
        return CodeVerdict("not_satisfied", "no verdict" if said is done.report else _shown(said))

    def _run(self, phase: str, task: CodeTask, answer: bytes, nonce: str = "-") -> Outcome:
        """Run one phase.

        Raises:
            SandboxError: It did not get so far that the answer could have had any part in it.
        """
        sat, kind = task.sat.encode("utf-8", "surrogatepass"), task.ans_type.encode()
        head = f"{phase} {nonce} {len(sat)} {len(kind)}\n".encode()
        cap_bytes = (self.limits.answer_mib << 20) if phase == "solve" else _VERDICT_BYTES
        given = head + sat + kind + answer
        done = self._supervisor().run(given, wall_s=self.limits.wall_s, cap_bytes=cap_bytes)
        if not done.report and done.ended in {"", "gone"}:  # one that waited may have been killed, for its memory say
            done = self._supervisor().run(given, wall_s=self.limits.wall_s, cap_bytes=cap_bytes)
        if done.ended == "closed":
            raise SandboxError("the checker was closed")
        if done.report.startswith(b"puzzle "):
            raise SandboxError(f"the puzzle's own code cannot be loaded: {_shown(done.report[7:])}")
        if not done.report.startswith(b"ready\n"):
            why = done.stderr.strip().rpartition("\n")[2] or done.ended or f"exit code {done.code}"
            raise SandboxError(f"the sandbox did not start: {why[:300]}")
        return done

    def _supervisor(self) -> SupervisorClient:
        """The one there is, or a new one: if it has ended, or is that of the process this one was forked from."""
        with self._turn:
            if self._closed:
                raise SandboxError("the checker was closed")
            if self._client is None or self._owner != os.getpid() or not self._client.alive:
                self._stop()
                self._client, self._owner = (
                    SupervisorClient(self._launch, spares=min(self._workers, _SPARES)),
                    os.getpid(),
                )
            return self._client

    def _stop(self) -> None:
        if self._client is not None and self._owner == os.getpid():
            self._client.close()
        self._client = None


def _fault(done: Outcome, limits: Limits) -> str:
    """What an answer did wrong that ended its sandbox; nothing if it ended as it should."""
    if done.ended == "late":
        return f"no end within {limits.wall_s:g} s"
    if done.ended == "output":
        return "too much output"
    # As this process sees it, or as bubblewrap passes it on.
    if done.code in {-signal.SIGXCPU, 128 + signal.SIGXCPU}:
        return f"more than {limits.cpu_s} s of processor time"
    return "" if done.code == 0 else f"it ended with code {done.code}"


def _shown(text: bytes) -> str:
    """What code said, fit to be shown."""
    return "".join(c if c.isprintable() else " " for c in text.decode("utf-8", "replace"))[:200].strip()
