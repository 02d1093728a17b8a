"""The router graph, drawn: Mermaid, ASCII, SVG, PNG, all in this process; a run can be laid over it."""

from typing import Final, Literal, get_args

from langchain_core.runnables.graph import Graph

from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.ledger import usd
from langchain_r2.trace.mermaid import to_mermaid
from langchain_r2.trace.picture import picture
from langchain_r2.trace.png import to_png
from langchain_r2.trace.svg import to_svg
from langchain_r2.trace.visits import Visit, visits_of
from langchain_r2.types import RunRecord

Form = Literal["mermaid", "ascii", "svg", "png"]
FORMS: Final[tuple[str, ...]] = get_args(Form)


def draw_graph(graph: Graph, form: Form = "svg", record: RunRecord | None = None) -> str | bytes:
    """Draw a graph.

    Args:
        graph: Of a compiled graph: ``create_r2_graph(pool).get_graph(xray=True)``; ``xray`` shows what is inside
            ``execute_plan``.
        form: ``mermaid``, ``ascii``, ``svg`` or ``png``.
        record: A run; each node then shows how often it ran and what it cost.

    Returns:
        The drawing's text; for ``png`` its bytes.

    Raises:
        BadValueError: There is no such form.
        MissingExtraError: ``ascii`` needs grandalf, ``png`` matplotlib: the extra ``draw`` has both.
    """
    if form not in FORMS:
        raise BadValueError("form of a drawing", form, FORMS)
    visits = visits_of(record) if record else None
    if form == "ascii":
        return _ascii(graph, visits)
    placed = picture(graph, visits)
    if form == "png":
        return to_png(placed)
    return to_svg(placed) if form == "svg" else to_mermaid(placed)


def _ascii(graph: Graph, visits: dict[str, Visit] | None) -> str:
    """Drawn by LangChain; visits stand below, since its boxes hold one line."""
    try:
        drawn = graph.draw_ascii()
    except ImportError as error:
        raise MissingExtraError("drawing as ASCII", "draw") from error
    rows = [f"{name:<20} {visit.times:>4}x  {usd(visit.cost_usd)} USD" for name, visit in (visits or {}).items()]
    return "\n".join([drawn, *rows]) + "\n"
