"""A report about training as one HTML page that needs nothing but itself, its pictures also beside it.

Texts are escaped, and the page's policy allows its own style and pictures only: no script, nothing from elsewhere.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langchain_r2.errors import BadValueError
from langchain_r2.ledger import usd
from langchain_r2.plots import draw_curves, save
from langchain_r2.plots.style import INK, panels, styled
from langchain_r2.scrubbing import scrubbed
from training.report import ENDS, SHOWN, Report, Saving, stage_figures, warnings_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cells = Sequence[str]

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;"
    "background:light-dark(#fff,#14181d);color:light-dark(#1c2430,#dde3ea)}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}"
    "div{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid light-dark(#dfe4e9,#313a45)}"
    "th:first-child,td:first-child{text-align:left}tr.sum{font-weight:600}"
    "p.warning{border-left:4px solid #c98500;padding:.3rem .8rem;background:light-dark(#fff6e3,#33270d)}"
    "p.note{color:light-dark(#5c6878,#9aa6b4)}"
    "img{max-width:100%;background:#fff;border-radius:6px;padding:.5rem;box-sizing:border-box}"
)


def write_report(report: Report, out: Path) -> list[Path]:
    """Write the page, and its pictures beside it as PNG and SVG; gives all paths.

    Raises:
        BadValueError: The place cannot be written, or its name does not end in ``.html``.
        MissingExtraError: matplotlib is not installed.
    """
    if out.suffix != ".html":
        raise BadValueError("file of the report", str(out), "a name that ends in .html")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadValueError("file of the report", str(out), "a path that can be written", str(error)) from error
    drawn = {"ledger": save(draw_ledger(report), out.with_name(f"{out.stem}-ledger.png"))}
    for name, rows in report.curves.items():
        place = out.with_name(f"{out.stem}-curves-{name.replace('/', '-')}.png")
        drawn[name] = save(draw_curves(rows, name), place)
    pictures = {name: _picture(paths[0], name) for name, paths in drawn.items()}
    out.write_text(page(report, pictures), encoding="utf-8")
    return [out, *(path for paths in drawn.values() for path in paths)]


@styled
def draw_ledger(report: Report) -> "Figure":
    """Bars: tokens, USD and seconds of each stage."""
    columns = {
        "tokens sent and received": [
            r.get("input_tokens", 0) + r.get("output_tokens", 0) for r in report.ledger.values()
        ],
        "USD spent (unknown: no bar)": [row["spent_usd"] or 0.0 for row in report.ledger.values()],
        "seconds": [row["seconds"] for row in report.ledger.values()],
    }
    figure, axes = panels(1, 3, width=3.9, height=1.0 + 0.28 * len(report.ledger))
    for panel, (title, values) in zip(axes, columns.items(), strict=True):
        panel.barh(range(len(values)), values, color=INK, height=0.6)
        panel.set_yticks(range(len(values)), list(report.ledger) if panel is axes[0] else [""] * len(values))
        panel.invert_yaxis()
        panel.set_title(title)
        panel.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    return figure


def page(report: Report, pictures: dict[str, str]) -> str:
    """The page.

    Args:
        report: What it says.
        pictures: Image elements: ``ledger``, and one for each of the report's curves.
    """
    title = f"Training: {report.name}"
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    warned = "".join(f'<p class="warning">{_text(said)}</p>' for said in warnings_of(report.curves))
    parts = [f"<h1>{_text(title)}</h1>", warned, _ledger(report, pictures["ledger"]), _savings(report.savings)]
    parts += [_curves(name, rows, pictures[name]) for name, rows in report.curves.items()]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _ledger(report: Report, picture: str) -> str:
    names = ("stage", "processes", "seconds", "processor, s", "calls", "sent", "tokens in", "tokens out", "USD")
    rows = [_ledger_row(stage, row) for stage, row in [*report.ledger.items(), ("all", report.spent)]]
    note = "Calls that were kept are asked for, not sent: they cost nothing again."
    return f'<h2>What it took</h2>{_table(names, rows, summed=True)}<p class="note">{note}</p>{picture}'


def _ledger_row(stage: str, row: Any) -> Cells:  # noqa: ANN401 - of JSON
    counts = [f"{row.get(name, 0):,}" for name in ("calls", "sent", "input_tokens", "output_tokens")]
    return [
        stage,
        f"{row['processes']}",
        f"{row['seconds']:,.1f}",
        f"{row['cpu_s']:,.1f}",
        *counts,
        usd(row["spent_usd"]),
    ]


def _savings(savings: Sequence[Saving]) -> str:
    if not savings:
        return ""
    names = ("against", "USD per query there", "USD per query now", "saved per query", "queries until it is paid")
    rows = []
    for saving in savings:
        saved = ("-" if saving.saved_usd < 0 else "") + usd(abs(saving.saved_usd))
        rows.append([saving.against, usd(saving.before_usd), usd(saving.after_usd), saved, _queries(saving)])
    note = "Queries until it is paid = USD spent on all stages / USD saved per query. It says nothing about accuracy."
    return f'<h2>When it has paid for itself</h2>{_table(names, rows)}<p class="note">{note}</p>'


def _queries(saving: Saving) -> str:
    if saving.spent_usd is None:
        return "unknown: a price is unknown"
    return "never" if saving.queries is None else f"{saving.queries:,.0f}"


def _curves(name: str, rows: Sequence[Any], picture: str) -> str:
    made = []
    for stage in stage_figures(rows):
        cells = [f"{_figure(first)} → {_figure(last)}" for first, last in (stage[key] for key in SHOWN)]
        share = "" if stage["model"] is None else f"{stage['model']} {stage['share']:.0%}"
        made.append([stage["stage"], f"{stage['steps']}", *cells, share])
    names = ("stage", "steps", *SHOWN.values(), "most used model")
    note = f"Means of the first {ENDS} steps and of the last {ENDS}."
    return f'<h2>Learning: {_text(name)}</h2>{picture}{_table(names, made)}<p class="note">{note}</p>'


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _table(names: Cells, rows: Iterable[Cells], *, summed: bool = False) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in names)
    lines = ["<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    if summed:
        lines[-1] = lines[-1].replace("<tr>", '<tr class="sum">', 1)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"


def _picture(file: Path, name: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{_text(name)}" src="data:image/png;base64,{data}">'


def _text(text: str) -> str:
    return html.escape(scrubbed(text))
