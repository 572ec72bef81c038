"""The tables in the documents are those of the results that are checked in."""

import json
from pathlib import Path

import pytest

from benchmarks import tables

REPORT: tables.Row = json.loads(tables.RESULTS.read_text())


def test_pages_show_the_results_that_are_checked_in() -> None:
    assert tables.results(REPORT) in tables.PAGE.read_text()
    assert tables.overview(REPORT) in tables.README.read_text()


def test_a_faster_peer_shows_in_the_overview() -> None:
    slower = [row | {"ratio": row["ratio"] / 10} for row in REPORT["points"]]
    assert tables.overview(REPORT | {"points": slower}) != tables.overview(REPORT)


def test_writing_again_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}

    def write_text(page: Path, text: str) -> None:
        written[page.name] = text

    monkeypatch.setattr(type(tables.PAGE), "write_text", write_text)
    tables.main()
    assert written == {page.name: page.read_text() for page in (tables.PAGE, tables.README)}
