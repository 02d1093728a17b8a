"""A small process that starts sandboxes, ends them and reaps what they leave. Run as a script, without our modules.

It reads jobs from its standard input, a line of JSON and the bytes for the job's own input, and answers in the same
form. Orphans of its children become its children (PR_SET_CHILD_SUBREAPER), and are ended. It ends when its input ends.

Starting takes nearly all of a check's time, so the next sandbox is started while one is at work, and waits without any
input. Like any other it is used once. Why not in the user's process: reaping any child there would take the exit codes
of others, and forking from a process with threads and much memory is slow and can hang.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STDERR_BYTES = 4096
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
STAGE = "/mnt"
libc = ctypes.CDLL(None, use_errno=True)


class Job:
    """A sandbox: its process, what it has said, and when it has to be over. It waits until it is given an order."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Start it, in the way of an order."""
        self.way = order["argv"], order["env"], order["filter"]
        self.id: int | None = None
        self.cap, self.ended, self.until = STDERR_BYTES, "", float("inf")
        self.status: int | None = None
        self.said = {"report": bytearray(), "stderr": bytearray()}
        self.ends: dict[int, str] = {}
        self.input = memory()
        given = [os.dup(self.input), os.open("/dev/null", os.O_RDWR)]
        for name in ("stderr", "report"):
            reading, writing = os.pipe()
            os.set_blocking(reading, False)
            self.ends[reading] = name
            given.append(writing)
        waiting, self.go = os.pipe()
        self.giving = [self.input, self.go]
        given += [filled(memory(), bytes.fromhex(order["filter"])), waiting]
        # Everything else that is open here closes by itself when another program starts.
        moves = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(given)]
        reset = [signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGXFSZ]
        self.started = time.monotonic()
        argv, env = order["argv"], order["env"]
        try:
            self.pid = os.posix_spawn(argv[0], argv, env, file_actions=moves, setsid=True, setsigdef=reset)
        except BaseException:
            for end in (*self.ends, *self.giving):
                os.close(end)
            raise
        finally:
            for end in given:
                os.close(end)

    def give(self, order: dict[str, Any], payload: bytes) -> bool:
        """Let it begin; says whether it is still there."""
        self.id, self.cap, self.started = order["id"], order["cap_bytes"], time.monotonic()
        self.until = self.started + order["wall_s"]
        try:
            filled(self.input, payload)
            os.write(self.go, b"\n")
        except OSError:  # a broken pipe, or no memory
            self.end("gone")
        self.close()
        return not self.ended

    def waits(self, order: dict[str, Any]) -> bool:
        """Whether an order can have it."""
        return self.id is None and not self.ended and self.way == (order["argv"], order["env"], order["filter"])

    def close(self) -> None:
        """Close what an order is given through."""
        while self.giving:
            os.close(self.giving.pop())

    def read(self, end: int) -> None:
        """Take what it wrote; too long a report ends it, further complaints are dropped."""
        name = self.ends[end]
        while True:
            try:
                piece = os.read(end, 1 << 16)
            except BlockingIOError:
                return
            if not piece:
                del self.ends[end]
                os.close(end)
                return
            kept = self.said[name]
            kept += piece[: (STDERR_BYTES if name == "stderr" else self.cap + 1) - len(kept)]
            if name == "report" and len(kept) > self.cap:
                self.end("output")
                return

    def end(self, why: str) -> None:
        """End it: its first process, with which all of them end."""
        self.ended = self.ended or why
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


class Supervisor:
    """The loop over jobs."""

    def __init__(self) -> None:
        """Watch the input and the ends of children."""
        self.jobs: dict[int, Job] = {}
        self.heard = bytearray()
        self.order: dict[str, Any] = {}
        self.watch = selectors.DefaultSelector()
        self.watch.register(0, selectors.EVENT_READ, self.listen)
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        self.watch.register(wake, selectors.EVENT_READ, lambda: os.read(wake, 4096))
        self.open = True

    def run(self) -> None:
        """Serve until the input ends; then end what is under way."""
        while self.open:
            now = time.monotonic()
            wait = min([now + 3600, *(job.until for job in self.jobs.values() if not job.ended)]) - now
            for key, _ in self.watch.select(max(0, wait)):
                key.data()
            for job in self.jobs.values():
                if time.monotonic() >= job.until:
                    job.end("late")
            self.reap()
        for job in self.jobs.values():
            job.end("closed")
        while self.jobs or orphans(set()):
            self.reap()
            time.sleep(0.002)

    def listen(self) -> None:
        """Take orders that have arrived whole."""
        piece = os.read(0, 1 << 20)
        self.open = bool(piece)
        self.heard += piece
        while self.order or b"\n" in self.heard:
            if not self.order:
                line, _, self.heard = self.heard.partition(b"\n")
                self.order = json.loads(line)
            order, size = self.order, self.order["size"]
            if len(self.heard) < size:
                return
            payload = bytes(self.heard[:size])
            del self.heard[:size]
            self.order = {}
            self.start(order, payload)

    def start(self, order: dict[str, Any], payload: bytes) -> None:
        """Start a job, or give it to a sandbox that waits; one that does not start is answered at once."""
        waiting = [job for job in self.jobs.values() if job.waits(order)]
        for job in waiting:
            if job.give(order, payload):
                break
            job.id = None  # it ended while it waited: nobody's
        else:
            try:
                self.launch(order).give(order, payload)
            except OSError as error:
                answer({"id": order["id"], "code": None, "ended": "", "stderr": str(error), "wall_s": 0.0}, b"")
                return
        if sum(job.waits(order) for job in waiting) < order["spares"]:
            with contextlib.suppress(OSError):  # whoever needs it will see
                self.launch(order)

    def launch(self, order: dict[str, Any]) -> Job:
        """Start a sandbox, and watch it."""
        job = Job(order)
        self.jobs[job.pid] = job
        for end in job.ends:
            self.watch.register(end, selectors.EVENT_READ, lambda job=job, end=end: self.hear(job, end))
        return job

    def hear(self, job: Job, end: int) -> None:
        """Read, and stop watching what has been closed."""
        if end in job.ends:
            job.read(end)
            if end not in job.ends:
                self.watch.unregister(end)

    def reap(self) -> None:
        """Answer for children that have ended, and end what is nobody's."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if pid in self.jobs:
                    self.finish(self.jobs.pop(pid), status)
        for pid in orphans(set(self.jobs)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def finish(self, job: Job, status: int) -> None:
        """Read the rest and answer; nobody waits for one without an order."""
        job.status = status
        job.close()
        for end in list(job.ends):
            self.watch.unregister(end)
            job.read(end)
            if end in job.ends:
                os.close(end)
        if job.id is None:
            return
        code, wall_s = os.waitstatus_to_exitcode(status), time.monotonic() - job.started
        told = {"id": job.id, "code": code, "ended": job.ended, "wall_s": wall_s}
        answer({**told, "stderr": job.said["stderr"].decode("utf-8", "replace")}, job.said["report"])


def memory() -> int:
    """A file in memory."""
    return os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def filled(end: int, content: bytes) -> int:
    """A file in memory with its content, which nobody can change any more, to be read from its start."""
    left, place = memoryview(content), 0
    while place < len(left):
        place += os.pwrite(end, left[place:], place)
    fcntl.fcntl(end, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return end


def orphans(known: set[int]) -> set[int]:
    """Children that no job started: what a sandbox has left."""
    me = os.getpid()
    try:
        children = {int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()}
    except OSError:  # a kernel without that file
        children = {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and parent(p) == me}
    return children - known


def parent(process: Path) -> int:
    """Whose child a process is; 0 if it has ended."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def answer(head: dict[str, Any], report: bytes | bytearray) -> None:
    """Write an answer."""
    sys.stdout.buffer.write(json.dumps({**head, "size": len(report)}).encode() + b"\n" + report)
    sys.stdout.buffer.flush()


def stage(paths: list[str]) -> None:
    """Show files below a folder that every user may enter, to our own children only. Needs root."""
    call(libc.unshare, CLONE_NEWNS)
    call(libc.mount, b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    call(libc.mount, b"none", STAGE.encode(), b"tmpfs", 0, b"mode=755,size=1m")
    for path in paths:
        place = Path(STAGE + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        (place.mkdir if Path(path).is_dir() else place.touch)(exist_ok=True)
        call(libc.mount, path.encode(), bytes(place), None, MS_BIND, None)


def call(function: Callable[..., int], *arguments: bytes | int | None) -> None:
    """Call the C library."""
    if function(*(ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_ulong(a or 0) for a in arguments)):
        code = ctypes.get_errno()
        raise OSError(code, f"{getattr(function, '__name__', 'a call')}: {os.strerror(code)}")


def main() -> None:
    """Prepare, say so, and serve."""
    # What a job is given takes the places from 0 up: nothing else may be there.
    while os.open("/dev/null", os.O_RDWR) < 9:
        pass
    os.umask(0o022)
    call(libc.prctl, PR_SET_CHILD_SUBREAPER, 1)
    try:
        if sys.argv[1:]:
            stage(sys.argv[1:])
    except OSError as error:
        answer({"error": str(error)}, b"")
        return
    answer({"error": ""}, b"")
    Supervisor().run()


if __name__ == "__main__":
    main()
