"""A table in Markdown, and its place on a page."""

from benchmarks.markdown import between, table

MARKS = ("<!-- a -->\n", "<!-- /a -->\n")


def test_a_table() -> None:
    assert table(("D", "H"), [("3", "5"), ("6", "20")]) == "| D | H |\n| --- | --- |\n| 3 | 5 |\n| 6 | 20 |"


def test_what_stands_between_the_marks_is_replaced() -> None:
    page = f"before\n{MARKS[0]}old\n{MARKS[1]}after\n"
    once = between(page, MARKS, "new")
    assert once == f"before\n{MARKS[0]}\nnew\n\n{MARKS[1]}after\n"
    assert between(once, MARKS, "new") == once
