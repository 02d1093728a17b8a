"""JSON in model text: found among prose and code fences, mended where that is safe, read as a plan or an allocation."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

PlanRow = tuple[str, str, list[str]]
"""Id, text, stated dependencies."""

_TRAILING_COMMA: Final = re.compile(r",(\s*[\]}])")
_PLAN: Final = ("subtasks", "plan", "steps", "tasks")
_TEXT: Final = ("text", "subtask", "task", "question", "description", "step")
_NEEDS: Final = ("depends_on", "needs", "dependencies")
_ALLOCATION: Final = ("models", "allocation", "allocations", "assignments")


def find_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """The first JSON object or array in a text, or None; a comma before a closing bracket is read over."""
    for candidate in dict.fromkeys((text, _TRAILING_COMMA.sub(r"\1", text))):
        for match in list(re.finditer(r"[\[{]", candidate))[:50]:
            try:
                return json.JSONDecoder().raw_decode(candidate, match.start())[0]
            except (ValueError, RecursionError):
                continue
    return None


def whole_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a text that is JSON and nothing else, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def plan_rows(value: Any) -> list[PlanRow]:  # noqa: ANN401 - any JSON value
    """Rows of a plan: a list of texts or of objects, or an object of texts by id; alone or under a usual name."""
    if isinstance(value, dict):
        value = next((value[key] for key in _PLAN if isinstance(value.get(key), (list, dict))), value)
    if isinstance(value, dict):
        return [(id_, _one_line(text), []) for id_, text in value.items() if id_.isdecimal() and _is_text(text)]
    rows: list[PlanRow] = []
    for number, item in enumerate(value if isinstance(value, list) else [], 1):
        if _is_text(item):
            rows.append((str(number), _one_line(item), []))
        elif isinstance(item, dict):
            body = next((item[key] for key in _TEXT if _is_text(item.get(key))), None)
            stated: Any = next((item[key] for key in _NEEDS if item.get(key)), [])
            needs = stated if isinstance(stated, list) else [stated]
            if body is not None:
                rows.append((str(item.get("id", number)), _one_line(body), [str(n).lstrip("#") for n in needs]))
    return rows


def allocation_rows(value: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any JSON value
    """Rows of (subtask, model): models by subtask, objects that name both, or models in the order of the subtasks."""
    if isinstance(value, dict):
        value = next((value[key] for key in _ALLOCATION if isinstance(value.get(key), (list, dict))), value)
    if isinstance(value, dict):
        return [(str(id_), model) for id_, model in value.items() if isinstance(model, str)]
    rows: list[tuple[str, str]] = []
    for number, item in enumerate(value if isinstance(value, list) else [], 1):
        if isinstance(item, str):
            rows.append((str(number), item))
        elif isinstance(item, dict) and isinstance(item.get("model"), str):
            rows.append((_subtask_id(item, number), item["model"]))
    return rows


def _subtask_id(item: Mapping[str, Any], number: int) -> str:
    return str(next((item[key] for key in ("id", "subtask", "subtask_id", "step") if key in item), number)).lstrip("#")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _one_line(text: str) -> str:
    """A plan is shown one subtask a line, so none may have two."""
    return " ".join(text.split())
