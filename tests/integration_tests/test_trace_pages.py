"""Pages of runs in a real browser: the system's chromium, driven by playwright, no network.

On a machine without it they are skipped; CI installs it, and fails without it.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.trace import RunPage, write_pages
from langchain_r2.types import Attempt, Move, RunRecord, Subtask, SubtaskResult

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
MODELS = ("nano", "micro", "tiny", "mini", "small", "medium", "large", "xlarge", "max")


def attempt(id_: str | None, rank: int, start_s: float, **changes: Any) -> Attempt:
    row = {
        "subtask_id": id_, "role": "executor", "model": MODELS[rank], "group": ("SLM", "MLM", "LLM")[rank // 3],
        "direction": "initial", "reason": "allocated", "confidence": 0.9, "input_tokens": 9, "cached_input_tokens": 0,
        "output_tokens": 5, "cost_usd": 1e-6, "wall_s": 0.1, "error_type": None, "answer": f"answer {HOSTILE}",
        "started_at": 1000 + start_s, "verdict": {"accepted": True, "reason": "confident"},
        "prompt": f"prompt {HOSTILE}",
    }  # fmt: skip
    return {**row, **changes}  # type: ignore[typeddict-item]


def run(n: int, *, id_: str = "1") -> RunRecord:
    """A run of some subtasks: 2 needs 1 and so on in chains of ten, every third one climbs, the second is replanned."""
    plan: list[Subtask] = []
    results: list[SubtaskResult] = []
    rows = [attempt(None, 0, 0.0, role="decomposer", group=None, model="router", direction="initial")]
    for i in range(1, n + 1):
        at, name = 0.2 + 0.3 * (i % 10), str(i)
        plan.append({"id": name, "text": f"step {i} {HOSTILE}", "depends_on": [str(i - 1)] if i % 10 > 1 else []})
        moves: list[Move] = []
        rows.append(attempt(name, 1, at))
        if i % 3 == 0:
            rows[-1]["verdict"] = {"accepted": False, "reason": "low_confidence"}
            moves.append({"kind": "upward", "subtask_id": name, "model": "micro", "to": "mini", "reason": "low_confidence", "confidence": 0.5, "at": 1000.1 + at})  # fmt: skip  # noqa: E501
            rows.append(attempt(name, 3, at + 0.1, direction="upward", reason="low_confidence"))
        parts: list[Subtask] = [{"id": "1", "text": "part", "depends_on": []}] if i == 2 else []
        if parts:
            moves.append({"kind": "replan", "subtask_id": name, "model": "micro", "to": None, "reason": "truncated", "confidence": None, "at": 1000.1 + at})  # fmt: skip  # noqa: E501
            rows.append(attempt("2.1", 0, at + 0.12, direction="replan"))
        results.append({"id": name, "text": name, "kind": "k", "answer": "a", "model": rows[-1]["model"], "verdict": {"accepted": True, "reason": "confident"}, "attempts": [], "parts": parts, "moves": moves})  # fmt: skip  # noqa: E501
    return {
        "id": id_, "query": f"query {HOSTILE}", "answer": HOSTILE, "status": "ok", "error": None, "plan": plan,
        "attempts": rows, "cost_usd": 1e-6 * len(rows), "cost_by_role": {}, "cost_by_model": {}, "wall_s": 3.6,
        "started_at": 1000.0, "results": results,
    }  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        reason = "no chromium on this machine: `apt-get install chromium`"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Debian's sandbox needs rights that containers lack; the pages are ours.
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a run's page, or a file, and see that nothing went wrong in it, and nothing left it."""
    opened: list[tuple[Any, list[str]]] = []

    def load(what: RunRecord | Path, **options: Any) -> Any:
        path = what if isinstance(what, Path) else RunPage(what).save(tmp_path / "run.html")
        page = browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **options})
        said: list[str] = []
        opened.append((page, said))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: None if request.url.startswith("file:") else said.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield load
    for page, said in opened:
        assert said == []
        page.close()


def test_hostile_texts_show_as_they_are_and_run_nothing(show: Callable[..., Any]) -> None:
    page = show(run(12))
    for fold in page.query_selector_all("details"):
        fold.evaluate("fold => fold.open = true")
    assert HOSTILE in page.inner_text("h1")
    assert "owned" not in page.title().replace(HOSTILE[:40], "")
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("document.scripts.length") == 2


def test_the_policy_stops_what_were_to_get_in_after_all(browser: Any, tmp_path: Path) -> None:
    """As if escaping had failed: script and handler are in the page as markup, and do not run."""
    text = RunPage(run(2)).save(tmp_path / "run.html").read_text(encoding="utf-8")
    markup = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"></main>"
    (tmp_path / "bad.html").write_text(text.replace("</main>", markup), encoding="utf-8")
    (tmp_path / "open.html").write_text(
        text.replace("</main>", markup).replace("Content-Security-Policy", "none"), encoding="utf-8"
    )
    titles = {}
    for name in ("bad", "open"):
        page = browser.new_page()
        page.goto((tmp_path / f"{name}.html").as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        titles[name] = page.title()
        page.close()
    assert titles["open"] == "owned"  # so the policy is what stops it
    assert titles["bad"] != "owned"


def test_the_page_shows_plan_times_moves_and_bill(show: Callable[..., Any]) -> None:
    page = show(run(12))
    assert page.locator("g.node").count() == 13
    assert page.locator("g.lane").count() == 14  # and the decomposer's
    assert page.locator("g.bar").count() == 18
    assert page.locator("path.arrow.upward").count() == 4
    assert page.locator("path.arrow.replan").count() == 1
    assert page.locator("g.node.critical").count() >= 9
    table = page.locator("table[aria-label=Moves] tbody tr").all_inner_texts()
    assert len(table) == 5
    assert "upward" in table[1]
    assert "low confidence" in table[1]
    assert "0.500" in table[1]
    share = page.locator("section[aria-label=Bill] p").inner_text()
    assert share.endswith("5.6 %")
    fill = "g => getComputedStyle(g.querySelector('.fill')).fill"
    colours = [page.locator(f"g.node[data-id='{id_}']").evaluate(fill) for id_ in ("1", "3")]
    assert colours[0] != colours[1]


def test_what_a_person_approved_of_is_marked(show: Callable[..., Any]) -> None:
    record = run(12)
    first, *others = [move for result in record.get("results", []) for move in result.get("moves", [])]
    first["approved"] = True
    page = show(RunRecord(**{**record, "approval": "edited"}))
    assert "plan edited" in page.locator("header").inner_text()
    rows = page.locator("table[aria-label=Moves] tbody tr").all_inner_texts()
    assert [("approved by a person" in row) for row in rows] == [True] + [False] * len(others)
    assert "plan" not in show(record).locator("header p").first.inner_text()


def test_prompts_and_answers_are_folded_and_open_by_keyboard(show: Callable[..., Any]) -> None:
    page = show(run(12))
    page.locator("g.node[tabindex='0']").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):  # 1, 2, its part, 3
        page.keyboard.press(key)
    assert page.locator("g.node.selected").get_attribute("data-id") == "3"
    assert page.locator("#detail h2").inner_text() == "Subtask 3"
    assert not page.get_by_text("prompt </script>").first.is_visible()
    page.locator("#detail summary", has_text="Prompt").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#detail details[open] pre").first.is_visible()
    page.locator("g.lane[tabindex='0']").focus()
    page.keyboard.press("End")
    assert page.locator("#detail h2").inner_text() == "Subtask 12"


@pytest.mark.parametrize("width", [380, 1200])
def test_the_page_is_never_wider_than_its_window(show: Callable[..., Any], width: int) -> None:
    page = show(run(30), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_light_and_dark(show: Callable[..., Any]) -> None:
    looks = {}
    for scheme in ("light", "dark"):
        page = show(run(3), color_scheme=scheme)
        looks[scheme] = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
    assert looks["light"] != looks["dark"]
    assert contrast(*looks["light"]) > 7
    assert contrast(*looks["dark"]) > 7


def contrast(first: str, second: str) -> float:
    """By the WCAG's formula."""

    def light(colour: str) -> float:
        parts = [int(v) / 255 for v in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)


def test_a_thousand_subtasks(show: Callable[..., Any]) -> None:
    """What shows is drawn, what is gone to is drawn then, and on paper all is."""
    page = show(run(1000))
    nodes, lanes = page.locator("g.node"), page.locator("g.lane")
    assert 40 < nodes.count() < 600
    assert 40 < lanes.count() < 200
    page.locator("g.node[tabindex='0']").focus()
    page.keyboard.press("End")
    assert page.locator("#detail h2").inner_text() == "Subtask 1000"
    for kind in ("node", "lane"):
        assert in_pane(page, f"g.{kind}[data-id='1000']")
    page.locator(".scroll").nth(1).evaluate("pane => pane.scrollTop = pane.scrollHeight / 2")
    page.wait_for_selector("g.lane[data-id='500']", state="attached")
    before = nodes.count()
    page.locator(".scroll").nth(0).evaluate("pane => { pane.scrollTop = 0; pane.scrollLeft = pane.scrollWidth / 2; }")
    nodes.nth(before + 40).wait_for(state="attached")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert nodes.count() == 1001
    assert lanes.count() == 1002
    assert page.locator("path.edge").count() == 801
    assert page.locator("path.arrow.upward").count() == 333


def in_pane(page: Any, selector: str) -> bool:
    """Whether an element lies in what its pane shows."""
    script = """e => { const a = e.getBoundingClientRect(), b = e.closest(".scroll").getBoundingClientRect();
        return a.bottom > b.top && a.top < b.bottom && a.right > b.left && a.left < b.right; }"""
    return bool(page.locator(selector).evaluate(script))


def test_the_page_of_a_batch_sorts_filters_and_links(show: Callable[..., Any], tmp_path: Path) -> None:
    def records() -> Iterator[Any]:
        for i in range(1, 61):
            yield {**run(i, id_=f"q{i}"), "method": "r2", "grade": {"status": "graded", "score": int(i % 4 > 0)}}

    page = show(write_pages(records(), tmp_path / "out", "records.jsonl"))
    rows = page.locator("table[aria-label=Runs] tbody tr")
    assert rows.count() == 50
    page.locator("table[aria-label=Runs] th button", has_text="USD").click()
    assert rows.first.inner_text().startswith("q60\t")
    page.get_by_label("Filter runs").fill("wrong")
    assert rows.count() == 15
    assert "75.0 %" in page.locator("table[aria-label=Accuracy]").inner_text()
    assert page.locator("section[aria-label=Cost] rect").count() > 5
    assert page.locator("table[aria-label='Share per model'] tbody tr").count() == 4
    rows.first.locator("a").click()
    page.wait_for_selector("g.node")
    assert page.locator("header .muted").first.inner_text().startswith("ok run q")
