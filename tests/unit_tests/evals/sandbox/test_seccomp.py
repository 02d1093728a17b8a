"""The list of system calls, run as the kernel runs it: on the number, the architecture and the arguments of a call."""

import struct

import pytest

from langchain_r2.errors import SandboxError
from langchain_r2.evals.sandbox import seccomp

ALLOW, EPERM, KILL = 0x7FFF0000, 0x00050001, 0x80000000
X86, ARM = 0xC000003E, 0xC00000B7


def decided(machine: str, arch: int, number: int, *arguments: int) -> int:
    """What the kernel does about a call."""
    call = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    code = seccomp.program(machine)
    steps = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    loaded, place = 0, 0
    while True:
        kind, if_equal, if_not, operand = steps[place]
        if kind == 0x06:
            return int(operand)
        if kind == 0x20:
            [loaded] = struct.unpack_from("=I", call, operand)
        else:
            assert kind == 0x15
            place += if_equal if loaded == operand else if_not
        place += 1


@pytest.mark.parametrize(
    ("machine", "arch", "calls"),
    [
        ("x86_64", X86, {"read": 0, "mmap": 9, "execve": 59, "openat": 257, "getrandom": 318}),
        ("aarch64", ARM, {"read": 63, "mmap": 222, "execve": 221, "openat": 56, "getrandom": 278}),
    ],
)
def test_what_python_needs_is_allowed(machine: str, arch: int, calls: dict[str, int]) -> None:
    for name, number in calls.items():
        assert seccomp.numbers(machine)[name] == number
        assert decided(machine, arch, number) == ALLOW


@pytest.mark.parametrize(
    ("machine", "arch", "refused"),
    [
        # socket, clone, fork, vfork, kill, ptrace, mount, unshare, bpf, clone3, io_uring_setup, x32's read
        ("x86_64", X86, [41, 56, 57, 58, 62, 101, 165, 272, 321, 435, 425, 0x40000000]),
        ("aarch64", ARM, [198, 220, 129, 117, 40, 97, 280, 435, 425]),
    ],
)
def test_everything_else_is_refused(machine: str, arch: int, refused: list[int]) -> None:
    assert {decided(machine, arch, number) for number in refused} == {EPERM}


def test_another_architectures_numbers_end_the_process() -> None:
    assert decided("x86_64", 0x40000003, 3) == KILL
    assert decided("aarch64", X86, 63) == KILL


@pytest.mark.parametrize(
    ("number", "arguments", "allowed"),
    [
        (16, (1, 0x5401), True), (16, (1, 0x5412), False),  # TCGETS, TIOCSTI
        (72, (1, 1030), True), (72, (1, 8), False),  # F_DUPFD_CLOEXEC, F_SETOWN
        (302, (0, 7), True), (302, (1, 7), False),  # of itself, of another
    ],
)  # fmt: skip
def test_arguments_are_looked_at(number: int, arguments: tuple[int, ...], allowed: bool) -> None:
    assert decided("x86_64", X86, number, *arguments) == (ALLOW if allowed else EPERM)
    assert number in seccomp.checked_numbers("x86_64")


def test_a_machine_without_a_list_is_refused() -> None:
    with pytest.raises(SandboxError, match=r"'riscv64'.*x86_64, aarch64"):
        seccomp.program("riscv64")
