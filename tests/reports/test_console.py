"""What is written on a terminal: a table's title is one line, however narrow the table is."""

import pytest
from expclip.reports.console import print_table

TITLE = "faces-test · miniature · 1,600 samples · untrained weights: these numbers show that the machinery works"


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_title_of_a_narrow_table_is_one_line(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_table(TITLE, ("a", "b"), [("1", "2")])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "faces-test" in line)
    assert TITLE in line


def test_a_table_without_a_title_begins_with_its_columns(capsys):
    print_table("", ("first", "second"), [("1", "2")])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == ["first", "second"]
