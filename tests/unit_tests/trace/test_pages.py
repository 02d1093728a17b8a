"""Pages as files: what is in them, what cannot get out, what is hidden. How they look and work: integration tests."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.run_record import failed_record
from langchain_r2.trace import RunPage, to_html, write_pages
from langchain_r2.types import RunRecord


class Elements(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def data_of(page: str) -> Any:
    return json.loads(page.split('id="data">')[1].split("</script>", maxsplit=1)[0])


def test_a_hostile_text_stays_a_text(moved: RunRecord) -> None:
    page = to_html(moved)
    elements = Elements(page).found
    assert [tag for tag, _ in elements if tag in {"script", "img"}] == ["script", "script"]
    assert not any(name.startswith("on") for element in elements for name in element[1])
    assert data_of(page)["query"] == moved["query"]


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(moved: RunRecord) -> None:
    page = to_html(moved)
    policy = next(a["content"] for _, a in Elements(page).found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    texts = re.findall(r"<style>(.*?)</style>", page, re.DOTALL) + re.findall(
        r"<script>(.*?)</script>", page, re.DOTALL
    )
    assert [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in texts] == allowed


def test_a_page_refers_to_nothing_outside_it(moved: RunRecord) -> None:
    page = to_html(moved).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page.replace("http-equiv", "")
    assert not any(name in {"src", "href"} for _, attributes in Elements(page).found for name in attributes)


def test_keys_are_hidden(moved: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdefgh-secret")
    moved["attempts"][0]["answer"] = "the key is abcdefgh-secret"
    moved["plan"][0]["text"] = "with Bearer 0123456789"
    moved["query"] = "sk-0123456789"
    page = to_html(moved)
    assert not any(key in page for key in ("abcdefgh-secret", "0123456789"))
    assert page.count("[hidden]") >= 4


def test_prompts_are_those_of_the_attempts(moved: RunRecord) -> None:
    last = moved["attempts"][-1]
    assert last["subtask_id"] == "4"
    assert "join" in last.get("prompt", "")
    assert all("prompt" in row for row in moved["attempts"])
    part = next(a for a in moved["attempts"] if a["subtask_id"] == "2.1")
    assert "part a" in part.get("prompt", "")


def test_a_failed_run_and_odd_numbers_have_a_page() -> None:
    record = failed_record("\ud800 why?", ValueError("no"), id="1", wall_s=float("inf"))
    data = data_of(to_html(record))
    assert (data["error"], data["wall_s"], data["nodes"]) == ("ValueError: no", None, [])


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(moved: RunRecord, tmp_path: Path) -> None:
    shown = RunPage(moved)
    frame = Elements(shown._repr_html_()).found
    assert [tag for tag, _ in frame] == ["iframe"]
    assert frame[0][1]["sandbox"] == "allow-scripts"
    assert frame[0][1]["srcdoc"] == shown.save(tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_folder_has_a_page_for_every_run_and_one_that_links_to_them(moved: RunRecord, tmp_path: Path) -> None:
    graded: Any = {**moved, "id": "../../b", "method": "r2", "grade": {"status": "graded", "score": 1}}
    index = write_pages([moved, graded, graded], tmp_path / "out", "records.jsonl")
    data = data_of(index.read_text(encoding="utf-8"))
    assert [run["id"] for run in data["runs"]] == ["run/1", "../../b", "../../b"]
    assert len({run["href"] for run in data["runs"]}) == 3
    for run in data["runs"]:
        file = (index.parent / run["href"]).resolve()
        assert file.parent == (tmp_path / "out" / "runs").resolve()
        assert data_of(file.read_text(encoding="utf-8"))["id"] == run["id"]
    assert [(r["up"], r["down"], r["replan"], r["score"], r["method"]) for r in data["runs"]][:2] == [
        (1, 0, 1, None, None),
        (1, 0, 1, 1, "r2"),
    ]
    assert sum(m["calls"] for m in data["models"]) == 3 * len(moved["attempts"])
    assert sum(m["cost_usd"] for m in data["models"]) == pytest.approx(3 * (moved["cost_usd"] or 0.0))
