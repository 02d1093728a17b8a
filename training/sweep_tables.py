"""Tables and the picture of a sweep."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from langchain_r2.ledger import usd
from langchain_r2.plots.style import ACCENT, INK, MUTED, RAMP, panels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_MILLION: Final = 1e6
_GROUPS: Final = ("SLM", "MLM", "LLM")
_STANDING: Final = {
    **{group: group for group in _GROUPS},
    "same_as_default": "as the default",
    "as_label": "the label's group",
    "weaker_than_label": "weaker",
    "stronger_than_label": "stronger",
}


def markdown(found: Row) -> str:
    """All tables."""
    search = found["search"]
    at_easy, at_medium = f"tau_easy = {search['tau_easy']:g}", f"tau_medium = {search['tau_medium']:g}"
    return f"""# Sensitivity

{found["problems"]} problems, {found["subtasks"]} labelled subtasks ({found["subtasks_with_probabilities"]} with kept
token probabilities). No model was called.

## Weights of J

The first row is the default. Alone: the plan that J ranks first among all that ran, with the evaluation model for all
subtasks. Among right: the one that it ranks first among right plans, with the cost of its label.

{_weights(found["weights"])}

## alpha

Difficulty by the alpha-quantile of the tokens' probabilities, uncalibrated, at {at_easy}, {at_medium}. AUROC: subtasks
whose label is an SLM against the others.

{_choices("alpha", found["alpha"], auroc=True)}

## tau_easy

Calibrated confidence; {at_medium}, the default is {at_easy}.

{_choices("tau_easy", found["tau_easy"])}

## tau_medium

Calibrated confidence; {at_easy}, the default is {at_medium}.

{_choices("tau_medium", found["tau_medium"])}
"""


def _weights(rows: Sequence[Row]) -> str:
    names = (
        "w_c",
        "w_p",
        "w_d",
        "alone: accuracy",
        "USD per query",
        "subtasks",
        "as the default",
        "among right: USD of label",
        "subtasks",
        "as the default",
    )
    return _table(names, [_weight_cells(row) for row in rows])


def _weight_cells(row: Row) -> list[str]:
    return [
        *(f"{row[w]:.2f}" for w in ("w_c", "w_p", "w_d")),
        f"{row['accuracy']:.1%}",
        usd(row["cost_usd"]),
        f"{row['subtasks']:.2f}",
        f"{row['same_as_default']:.1%}",
        usd(row["label_usd"]),
        "-" if row["right_subtasks"] is None else f"{row['right_subtasks']:.2f}",
        f"{row['right_same_as_default']:.1%}",
    ]


def _choices(name: str, rows: Sequence[Row], *, auroc: bool = False) -> str:
    if not rows:
        return "The evaluation model shows no token probabilities."
    made = []
    for row in rows:
        value = row[name]
        cells = [_shown(value), *(f"{row[key]:.1%}" for key in _STANDING)]
        if auroc:
            cells.append("-" if row["auroc_easy"] is None else f"{row['auroc_easy']:.3f}")
        made.append(cells)
    return _table((name, *_STANDING.values(), *(["AUROC"] if auroc else [])), made)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(names) + " |", "|" + "---:|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


@styled
def draw_sweep(found: Row) -> "Figure":
    """Cost against accuracy of what J ranks first, and the groups that difficulty picks."""
    figure, axes = panels(2, 2, width=5.2, height=3.6)
    _draw_weights(axes[0], found["weights"])
    for panel, name in zip(axes[1:], ("alpha", "tau_easy", "tau_medium"), strict=True):
        _draw_groups(panel, name, found[name])
    return figure


def _draw_weights(axes: "Axes", rows: Sequence[Row]) -> None:
    axes.set_title("what J alone ranks first, by (w_c, w_p, w_d)")
    axes.set(xlabel="USD per million queries", ylabel="accuracy, %")
    named: dict[tuple[float, float], list[str]] = {}
    for number, row in enumerate(rows):
        if row["cost_usd"] is None:
            continue
        place = (_MILLION * row["cost_usd"], 100 * row["accuracy"])
        axes.plot(
            *place,
            "*" if number == 0 else "o",
            color=INK if number else ACCENT,
            markersize=5 if number else 12,
            zorder=2 if number else 4,
        )
        weights = "default" if number == 0 else ", ".join(f"{row[w]:g}" for w in ("w_c", "w_p", "w_d"))
        if number == 0 or max(row["w_c"], row["w_p"], row["w_d"]) == 1:
            named.setdefault(place, []).append(weights)
    for place, texts in named.items():
        axes.annotate("\n".join(texts), place, xytext=(6, -4), textcoords="offset points", fontsize=7.5, color=MUTED)
    axes.margins(x=0.25, y=0.2)


def _draw_groups(axes: "Axes", name: str, rows: Sequence[Row]) -> None:
    axes.set_title(f"group that difficulty picks, by {name}")
    if not rows:
        axes.set_axis_off()
        return
    places, below = list(range(len(rows))), [0.0] * len(rows)
    for group, color in zip(_GROUPS, (RAMP[1], RAMP[4], RAMP[7]), strict=True):
        shares = [row[group] for row in rows]
        axes.bar(places, shares, bottom=below, color=color, width=0.75, label=group)
        below = [a + b for a, b in zip(below, shares, strict=True)]
    axes.plot(places, [row["as_label"] for row in rows], "D-", color=ACCENT, markersize=4, label="the label's group")
    axes.set_xticks(places, [_shown(row[name]) for row in rows], rotation=30)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=4)
