"""What runs inside the sandbox: one phase of a check. Its source is handed to a Python there; it is never imported.

The standard input has a line ``PHASE NONCE SIZE SIZE``, then the puzzle and the type, of these many bytes, then the
answer; it is there once descriptor 5 says so. Descriptor 3 takes ``ready`` once the puzzle itself is loaded and before
any code of a model runs, then what came of it. Phases: ``solve`` runs an answer that is code and writes its value as
JSON. ``literal`` and ``json`` read a value and ask the puzzle; their last line starts with the nonce.

Starting takes longer than most checks, so nothing is imported that takes time: no ``ast``, ``json``, ``os`` (3 ms), or
``typing``, and ``_ast`` (2 ms) only where a literal is read.
"""

import _json
import posix
import resource
import sys

REPORT, GO = 3, 5
PLAIN = {"int": int, "float": float, "str": str, "bool": bool}
LONG_BITS = 10_000  # from here on decimal digits take long: their time grows with the square of their number
NO_NUMBERS = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def main() -> None:
    """Run the phase that the input names."""
    posix.read(GO, 1)  # it may have been started before there was anything to do
    posix.close(GO)
    data = sys.stdin.buffer.read()
    line = data.index(b"\n") + 1
    phase, nonce, *sizes = data[:line].decode().split()
    posix.dup2(1, 0)  # what is read is gone, and complaints about the sandbox itself end here
    posix.dup2(1, 2)
    if sys.argv[1:] == ["alone"]:
        no_processes()
    cut, end = line + int(sizes[0]), line + int(sizes[0]) + int(sizes[1])
    sat, ans_type = data[line:cut].decode("utf-8", "surrogatepass"), data[cut:end].decode()
    names: dict[str, object] = {"List": list, "__name__": "puzzle"}
    try:
        exec(compile(sat, "<puzzle>", "exec"), names)  # noqa: S102 - that is the puzzle
        puzzle = names["sat"]
    except BaseException as error:  # noqa: BLE001 - whatever it raises
        return leave("puzzle " + shown(error))
    write("ready\n")  # from here on, whatever happens is the answer's doing
    try:
        answer = str(memoryview(data)[end:], "utf-8", "surrogatepass")
        del data
        said = solve(answer, ans_type, names) if phase == "solve" else judge(phase, answer, ans_type, puzzle)
    except BaseException as error:  # noqa: BLE001 - whatever it raises
        said = "failed " + shown(error)
    if phase != "solve":
        write(nonce + " ")
    return leave(said)


def solve(answer: str, ans_type: str, names: dict[str, object]) -> str:
    """The value of ``sol()`` as JSON."""
    exec(compile(answer, "<answer>", "exec"), names)  # noqa: S102 - that is the answer
    value = names["sol"]()  # type: ignore[operator]
    if not has_type(value, ans_type):
        return f"failed sol() gave {type(value).__name__}, not {ans_type}"
    return "value " + as_json(value)


def judge(form: str, answer: str, ans_type: str, sat: object) -> str:
    """Whether the puzzle takes a value."""
    value = from_json(answer) if form == "json" else from_literal(answer)
    if not has_type(value, ans_type):
        return f"failed not of type {ans_type}"
    return "satisfied" if sat(value) is True else "failed sat did not return True"  # type: ignore[operator]


def as_json(value: object) -> str:
    """A value that has one of the types of puzzles, as JSON; a long integer as an object, which no puzzle asks for."""
    if type(value) is list:
        return "[" + ",".join(map(as_json, value)) + "]"
    if type(value) is str:
        return _json.encode_basestring_ascii(value)
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and value.bit_length() > LONG_BITS:
        return f'{{"hex": "{value:x}"}}'
    return NO_NUMBERS.get(repr(value), repr(value))


def from_json(text: str) -> object:
    """A value from JSON, by the scanner that the module ``json`` itself uses."""
    value, end = _json.make_scanner(Reading())(text, 0)  # type: ignore[arg-type]
    if end != len(text):
        raise ValueError("more than one value")
    return value


class Reading:
    """What ``_json`` has to be told. Infinite numbers and NaN stand as Python writes them."""

    strict = True
    object_pairs_hook = None
    parse_int, parse_float, parse_constant = int, float, float

    @staticmethod
    def object_hook(found: dict[str, str]) -> int:
        """A long integer."""
        return int(found["hex"], 16)


def from_literal(text: str) -> object:
    """A value from a Python literal of the types of puzzles."""
    import _ast  # noqa: PLC0415 - see above

    def value_of(node: _ast.expr) -> object:
        if isinstance(node, _ast.List):
            return [value_of(part) for part in node.elts]
        if isinstance(node, _ast.UnaryOp) and isinstance(node.op, (_ast.USub, _ast.UAdd)):
            number = value_of(node.operand)
            if type(number) in {int, float}:
                return -number if isinstance(node.op, _ast.USub) else number  # type: ignore[operator]
        if isinstance(node, _ast.Constant):
            return node.value
        raise ValueError("no literal")

    tree = compile(text.strip(), "<answer>", "eval", _ast.PyCF_ONLY_AST)
    return value_of(tree.body)  # type: ignore[attr-defined]


def has_type(value: object, ans_type: str) -> bool:
    """Whether a value has exactly a type, as in ``langchain_r2.evals.grading.code``."""
    if ans_type.startswith("List[") and ans_type.endswith("]"):
        return type(value) is list and all(has_type(part, ans_type[5:-1]) for part in value)
    return ans_type in PLAIN and type(value) is PLAIN[ans_type]


def no_processes() -> None:
    """Take away the right to more processes: a second lock beside the list of system calls.

    Not sooner: on older kernels the limit counts every process of the user, and bubblewrap makes two.
    """
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def shown(error: BaseException) -> str:
    """An exception, short and on one line."""
    try:
        return f"{type(error).__name__}: {error}"[:300].replace("\n", " ")
    except BaseException:  # noqa: BLE001 - its text is code of the answer
        return "an exception"


def write(text: str) -> None:
    """Write to the report."""
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        left = left[posix.write(REPORT, left) :]


def leave(said: str) -> None:
    """Write the last line and end at once: nothing that was registered for the end runs."""
    write(said)
    write("\n")
    posix._exit(0)


if __name__ == "__main__":
    main()
