"""The system calls that contained code may make: a list of those allowed, as a BPF program for the kernel.

What CPython needs to compute: memory, reading files that are there, time, random numbers. No process, thread, socket,
signal, file lock or namespace can be made with it. Everything else fails with EPERM; a call of another architecture's
numbering ends the process.
"""

import errno
import platform
import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from langchain_r2.errors import SandboxError

_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Names and their numbers on x86_64 and on aarch64, which has no calls that a newer one replaced.
_ALLOWED: Final = """
read 0 63, write 1 64, close 3 57, fstat 5 80, lseek 8 62, mmap 9 222, mprotect 10 226, munmap 11 215, brk 12 214
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, pread64 17 67, sched_yield 24 124, mremap 25 216
madvise 28 233, dup 32 23, nanosleep 35 101, getpid 39 172, exit 60 93, wait4 61 260, uname 63 160, getcwd 79 17
gettimeofday 96 169, getrusage 98 165, sysinfo 99 179, times 100 153, getuid 102 174, getgid 104 176, geteuid 107 175
getegid 108 177, getppid 110 173, sigaltstack 131 132, gettid 186 178, futex 202 98, sched_getaffinity 204 123
getdents64 217 61, set_tid_address 218 96, restart_syscall 219 128, clock_gettime 228 113, clock_getres 229 114
clock_nanosleep 230 115, exit_group 231 94, openat 257 56, newfstatat 262 79, readlinkat 267 78, faccessat 269 48
set_robust_list 273 99, dup3 292 24, getrandom 318 278, statx 332 291, rseq 334 293, faccessat2 439 439
execve 59 221
stat 4 -, lstat 6 -, open 2 -, access 21 -, dup2 33 -, readlink 89 -, arch_prctl 158 -, time 201 -
"""
# `execve` starts the interpreter after the list is in force; later it would only replace the process by a file that is
# in the sandbox, under the same list. `wait4` is bubblewrap's own first process.

# Allowed for some values of one argument (its index): terminal queries and close-on-exec; no locks, owners, pipe
# sizes; limits of the process itself.
_CHECKED: Final = MappingProxyType(
    {
        "ioctl": ((16, 29), 1, (0x5401, 0x5450, 0x5451)),
        "fcntl": ((72, 25), 1, (0, 1, 2, 3, 1030)),
        "prlimit64": ((302, 261), 0, (0,)),
    }
)

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16


def numbers(machine: str) -> dict[str, int]:
    """The numbers of the calls that are allowed whatever their arguments, by name."""
    column = list(_AUDIT_ARCH).index(machine)
    rows = (entry.split() for line in _ALLOWED.strip().splitlines() for entry in line.split(","))
    return {name: int(on[column]) for name, *on in rows if on[column] != "-"}


def checked_numbers(machine: str) -> list[int]:
    """The numbers of the calls that are allowed for some arguments."""
    column = list(_AUDIT_ARCH).index(machine)
    return [both[column] for both, _, _ in _CHECKED.values()]


def program(machine: str | None = None) -> bytes:
    """The list as the kernel reads it.

    Args:
        machine: As ``platform.machine()`` names it, which is also the default.

    Raises:
        SandboxError: There is no list for that machine.
    """
    machine = machine or platform.machine()
    if machine not in _AUDIT_ARCH:
        raise SandboxError(f"no list of system calls for {machine!r}, only for {', '.join(_AUDIT_ARCH)}")
    return b"".join(struct.pack("=HBBI", *step) for step in _steps(machine))


def _steps(machine: str) -> Iterator[tuple[int, int, int, int]]:
    """Instructions: code, how many to skip if equal, how many if not, operand."""
    column = list(_AUDIT_ARCH).index(machine)
    yield _LOAD, 0, 0, _ARCH_AT
    yield _EQUAL, 1, 0, _AUDIT_ARCH[machine]
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER_AT
    for number in numbers(machine).values():
        yield _EQUAL, 0, 1, number
        yield _RETURN, 0, 0, _ALLOW
    for both, argument, values in _CHECKED.values():
        yield _EQUAL, 0, 2 + 2 * len(values), both[column]
        # The lower half: the kernel takes no more of these arguments.
        yield _LOAD, 0, 0, _ARGS_AT + 8 * argument
        for value in values:
            yield _EQUAL, 0, 1, value
            yield _RETURN, 0, 0, _ALLOW
        yield _RETURN, 0, 0, _ERRNO | errno.EPERM
    yield _RETURN, 0, 0, _ERRNO | errno.EPERM
