"""A picture as Mermaid text, which GitHub and many editors draw."""

from typing import Final

from langchain_r2.trace.picture import Box, Meaning, Picture

_COLOURS: Final[dict[Meaning, tuple[str, str]]] = {
    "upward": ("#ffcdd2", "#c62828"),
    "downward": ("#c8e6c9", "#2e7d32"),
    "replan": ("#e1bee7", "#6a1b9a"),
}


def to_mermaid(picture: Picture) -> str:
    """Write a picture down; Mermaid places it itself."""
    names = {box.id: f"n{number}" for number, box in enumerate(picture.boxes)}
    rows = ["graph TD"]
    for group in dict.fromkeys(box.group for box in picture.boxes):
        inner = [_box(names[box.id], box) for box in picture.boxes if box.group == group]
        indent = "    " if group is None else "        "
        rows += [] if group is None else [f'    subgraph {_safe(group)} ["{_text(group)}"]']
        rows += [indent + row for row in inner]
        rows += [] if group is None else ["    end"]
    for line in picture.lines:
        arrow = "-.->" if line.conditional else "-->"
        label = f"|{_text(line.label)}|" if line.label else ""
        rows.append(f"    {names[line.source]} {arrow}{label} {names[line.target]}")
    for meaning, (fill, stroke) in _COLOURS.items():
        boxes = [names[box.id] for box in picture.boxes if box.meaning == meaning]
        rows += [f"    style {name} fill:{fill},stroke:{stroke},color:#1c2430" for name in boxes]
        lines = [str(number) for number, line in enumerate(picture.lines) if line.meaning == meaning]
        rows += [f"    linkStyle {','.join(lines)} stroke:{stroke}"] if lines else []
    return "\n".join(rows) + "\n"


def _box(name: str, box: Box) -> str:
    if not box.label:
        return f'{name}(("{"start" if box.id.endswith("__start__") else "end"}"))'
    note = f"<br/>{_text(box.note)}" if box.note else ""
    return f'{name}["{_text(box.label)}{note}"]'


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("|", "&#124;")


def _safe(group: str) -> str:
    return "g_" + "".join(c if c.isalnum() else "_" for c in group)
