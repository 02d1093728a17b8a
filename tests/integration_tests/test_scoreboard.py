"""The quick part of the scoreboard: every row keeps its promises."""

import pytest

from tests.scoreboard.row import Row, rows

ROWS = rows()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_keeps_its_promises(row: Row) -> None:
    outcomes = list(row.run(True))
    assert outcomes
    assert [(o.scenario, o.details) for o in outcomes if not o.passed] == []


def test_every_row_names_what_it_is_protected_by() -> None:
    assert all(row.protections and row.criterion for row in ROWS.values())
