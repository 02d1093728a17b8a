"""Mathematical answers: extraction, equality, and where math-verify alone is wrong."""

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_r2.errors import MissingExtraError
from langchain_r2.evals.grading.latex import LatexGrader, answer_in, last_boxed
from langchain_r2.evals.items import Item

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="needs the extra `evals`"
)

SAME = [
    (r"\frac{1}{2}", "0.5"), (r"\frac12", "1/2"), (r"\dfrac{3}{4}", r"\frac{3}{4}"), (r"2\sqrt{3}", r"\sqrt{12}"),
    ("x=5", "5"), ("5", "x = 5"), (r"120^\circ", "120"), ("10,000", "10000"), (r"\$18.90", "18.9"),
    ("x^2+2x+1", "(x+1)^2"), ("3,5,7", "7, 5, 3"), (r"\{1,2\}", "1,2"), (r"11\text{ cm}", "11"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"), ("4210_{5}", "4210_5"),
    (r"(3,\frac{\pi}{2})", r"\left( 3, \frac{\pi}{2} \right)"), (r"\text{Evelyn}", "Evelyn"), (r"\text{(A)}", "A"),
    (r"\text{east}", "East."), (r"10\%", "10"), (r"10\%", "0.1"), (r"1 \pm \sqrt{19}", r"1+\sqrt{19},1-\sqrt{19}"),
    ("(x+1)(x-1)", "x^2-1"), ("f(x)=2", "2"), (r"(-\infty, 3)", r"(-\infty,3)"),
]  # fmt: skip

DIFFERENT = [
    ("1,2", "(1,2)"), ("(1,2)", "1,2"), ("4210_{5}", "4210"), ("4210_5", "4210_7"), ("0.5", "50"), ("50", "0.5"),
    ("(1,2)", "(2,1)"), ("(1,2)", "[1,2]"), (r"(-\infty,3)", r"(-\infty,3]"), ("5", "5,6"), (r"\pi", "3.14159"),
    (r"\text{even}", "odd"), (r"\text{Evelyn}", "Bob"), ("3", "x"), (r"\frac{1}{2}", r"\frac{1}{3}"), ("11", "eleven"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}"), ("5", "-5"), ("1234", "1,2,3,4"),
    ("Evelyn", "nylevE"),  # as products of letters they are equal
]  # fmt: skip


@pytest.fixture(scope="module")
def grader() -> Iterator[LatexGrader]:
    made = LatexGrader()
    yield made
    made.close()


def item(gold: str) -> Item:
    return Item("1", "q", gold)


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"\boxed{1} then \boxed{2}", "2"),  # the last one
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),  # braces inside
        (r"so \fbox{7}.", "7"),
        (r"\boxed {3}", "3"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{5} and \boxed{6", "5"),  # the last whole one
        ("nothing", None),
        (r"\boxed{", None),
    ],
)
def test_the_last_box(text: str, boxed: str | None) -> None:
    assert last_boxed(text) == boxed


@pytest.mark.parametrize(
    ("text", "answer"),
    [("$5$", "5"), ("So $x=5$ and $y=6$.", "y=6"), (r"It costs \$5.", r"It costs \$5"), ("7.", "7"), ("$$8$$", "8")],
)
def test_an_answer_without_a_box(text: str, answer: str) -> None:
    assert answer_in(text) == answer


@needs_math_verify
@pytest.mark.parametrize(("gold", "said"), SAME)
def test_the_same(grader: LatexGrader, gold: str, said: str) -> None:
    assert grader.grade(said, item(gold)).score == 1
    assert grader.grade(rf"So it is \boxed{{{said}}}.", item(gold)).score == 1
    assert grader.grade(gold, item(gold)).score == 1


@needs_math_verify
@pytest.mark.parametrize(("gold", "said"), DIFFERENT)
def test_not_the_same(grader: LatexGrader, gold: str, said: str) -> None:
    assert grader.grade(said, item(gold)).score == 0


@needs_math_verify
def test_math_verify_alone_has_the_faults_that_are_mended_here() -> None:
    """When this fails, it has mended them itself."""
    from math_verify import parse, verify

    for gold, said in (("1,2", "(1,2)"), ("4210_{5}", "4210")):
        read = [parse(rf"\boxed{{{text}}}", parsing_timeout=0) for text in (gold, said)]
        assert verify(read[0], read[1], timeout_seconds=0)


@needs_math_verify
def test_it_works_in_any_thread_and_beside_an_event_loop(grader: LatexGrader) -> None:
    """math-verify raises outside the main thread: its time limits are signals."""
    said: list[float | None] = []
    thread = threading.Thread(target=lambda: said.append(grader.grade("(x+1)^2", item("x^2+2x+1")).score))
    thread.start()
    thread.join()
    assert said == [1]

    async def several() -> list[float | None]:
        return [g.score for g in await asyncio.gather(*(grader(str(n), item("n=4")) for n in range(8)))]

    assert asyncio.run(several()) == [0, 0, 0, 0, 1, 0, 0, 0]


@needs_math_verify
def test_what_takes_too_long_is_ungradable_and_the_next_one_is_graded() -> None:
    grader = LatexGrader(timeout_s=20)
    try:
        assert grader.grade("x+x", item("2x")).score == 1  # it has started: the limit is for the comparison
        grader.timeout_s = 0.3
        endless = grader.grade("9^{9^{9^9}}", item("7"))
        assert (endless.status, endless.score) == ("ungradable", None)
        assert endless.reason == "no comparison within 0.3 s"
        grader.timeout_s = 60
        assert grader.grade("x+x", item("2x")).score == 1
    finally:
        grader.close()


@needs_math_verify
def test_a_process_that_breaks_down_is_no_timeout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text("raise SystemExit(1)")
    monkeypatch.setattr("langchain_r2.evals.grading.latex_worker.__file__", str(script))
    grader = LatexGrader()
    try:
        assert grader.grade("x+x", item("2x")).reason == "the comparison broke down"
    finally:
        grader.close()


@needs_math_verify
@pytest.mark.parametrize("said", ["", "  ", "$$"])
def test_no_answer_is_wrong(grader: LatexGrader, said: str) -> None:
    assert grader.grade(said, item("7")).score == 0


@needs_math_verify
def test_a_gold_answer_that_is_nothing_is_ungradable(grader: LatexGrader) -> None:
    assert grader.grade("7", item(r"\boxed{}")).status == "ungradable"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"langchain-r2\[evals\]"):
        LatexGrader()
