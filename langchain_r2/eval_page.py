"""The report of an evaluation as one HTML page: tables, and the plot of cost against accuracy.

It needs nothing but itself: no script, style and picture in the file, and a policy that allows only those. It follows
the reader's light or dark setting.
"""

import base64
import hashlib
import html
import io
from pathlib import Path
from typing import Final

from langchain_r2.errors import MissingExtraError
from langchain_r2.evals.folder import iter_rows
from langchain_r2.evals.report import MARKDOWN, markdown, report
from langchain_r2.evals.several import evaluations_in, overview
from langchain_r2.evals.sheets import Sheet
from langchain_r2.plots import draw_frontier, points_of
from langchain_r2.scrubbing import scrubbed

PAGE: Final = "report.html"

_STYLE: Final = """
:root { color-scheme: light dark; --bg: #f7f8f9; --panel: #fff; --ink: #1c2430; --muted: #5c6878; --line: #dde2e8;
  --mark: #f3e3f0; }
@media (prefers-color-scheme: dark) { :root { --bg: #12151a; --panel: #1a1f26; --ink: #e7ebf0; --muted: #9aa6b5;
  --line: #303844; --mark: #38263a; } }
body { margin: 0; background: var(--bg); color: var(--ink); font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 20px 20px 48px; }
h1 { font-size: 19px; font-weight: 600; margin: 28px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 15px; font-weight: 600; margin: 0 0 10px; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px;
  margin-top: 14px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--muted); font-weight: 500; font-size: 12.5px; }
th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
tr.own td { background: var(--mark); }
ul { margin: 10px 0 0; padding-left: 18px; color: var(--muted); }
li { overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; display: block; }
p { color: var(--muted); margin: 2px 0; }
"""


def write_page(folder: Path) -> Path:
    """Write the report of an evaluation's folder; gives the page's path.

    Raises:
        BadValueError: The folder has no evaluation.
    """
    title, sheets = report(folder)
    path = folder / PAGE
    path.write_text(page(title, sheets, _picture(folder)), encoding="utf-8")
    return path


def page(title: str, sheets: list[Sheet], picture: bytes | str) -> str:
    """The page as text.

    Args:
        title: What was run.
        sheets: Its tables.
        picture: The plot as PNG, or why there is none.
    """
    return _whole(title, "records.jsonl, which lies beside this page", _body(sheets, picture))


def write_pages(root: Path) -> Path:
    """Write the report of all evaluations below a folder, as a page and as Markdown; gives the page's path.

    Raises:
        BadValueError: There is none.
    """
    folders = evaluations_in(root)
    if folders == [root]:
        return write_page(root)
    title, first = f"{len(folders)} evaluations", overview(folders)
    made = [(*report(folder), _picture(folder)) for folder in folders]
    body = [_section(first), *(f"<h1>{_text(name)}</h1>\n{_body(sheets, picture)}" for name, sheets, picture in made)]
    path = root / PAGE
    path.write_text(_whole(title, "the records.jsonl of each", "\n".join(body)), encoding="utf-8")
    texts = [markdown(title, [first]), *(markdown(f"# {name}", sheets) for name, sheets, _ in made)]
    (root / MARKDOWN).write_text("\n".join(texts), encoding="utf-8")
    return path


def _body(sheets: list[Sheet], picture: bytes | str) -> str:
    first, *others = [_section(sheet) for sheet in sheets] or ["<p>No method has a record yet.</p>"]
    return "\n".join([first, _plot(picture), *others])


def _whole(title: str, source: str, body: str) -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{_text(title)}</h1>\n<p>Computed from {source}; "
        "langchain-r2 trace shows its runs one by one.</p>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _section(sheet: Sheet) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in sheet.columns)
    rows = "\n".join(_row(row) for row in sheet.rows)
    notes = "".join(f"<li>{_text(note)}</li>" for note in sheet.notes)
    below = f"<ul>{notes}</ul>" if notes else ""
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    return f"<section><h2>{_text(sheet.title)}</h2>{table}{below}</section>"


def _row(row: tuple[str, ...]) -> str:
    own = ' class="own"' if row[0] == "r2" else ""
    cells = "".join(f"<td{_kind(cell)}>{_text(cell)}</td>" for cell in row)
    return f"<tr{own}>{cells}</tr>"


def _kind(cell: str) -> str:
    return ' class="text"' if len(cell) > 60 else ""


def _plot(picture: bytes | str) -> str:
    if isinstance(picture, str):
        return f"<section><h2>Cost against accuracy</h2><p>{_text(picture)}</p></section>" if picture else ""
    data = base64.b64encode(picture).decode()
    said = "Cost of a million queries against accuracy, per method; dashed: mixtures. The tables have the numbers."
    return f'<section><h2>Cost against accuracy</h2><img alt="{said}" src="data:image/png;base64,{data}"></section>'


def _picture(folder: Path) -> bytes | str:
    """The plot as PNG; without matplotlib, or with nothing to show, a sentence."""
    points = points_of(iter_rows(folder))
    if not points:
        return "No method has grades and known costs."
    try:
        figure = draw_frontier(points)
    except MissingExtraError as error:
        return str(error)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _text(text: str) -> str:
    return html.escape(scrubbed(text))
