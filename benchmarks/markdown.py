"""Results as Markdown: a table, and its place on a page between two marks."""

from collections.abc import Iterable


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """One table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between(page: str, marks: tuple[str, str], text: str) -> str:
    """The page with a text between its marks, each a line of it, instead of what stands there."""
    before, rest = page.split(marks[0])
    return f"{before}{marks[0]}\n{text}\n\n{marks[1]}{rest.split(marks[1])[1]}"
