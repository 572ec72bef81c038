"""The page holds every number and nothing that could act: names from files stay text, and no address is outside."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.report.results import (
    EVIL,
    PARTS,
    PROFILE,
    SUMMARY,
    write_footprint,
    write_hardware,
    write_inspection,
    write_profile,
)

from gatesmith.analysis import load_result, profile, save_result
from gatesmith.errors import InputError, OutputError
from gatesmith.report import page as page_module
from gatesmith.report import write_report
from gatesmith.spec import LSTMSpec

plotly = pytest.importorskip("plotly", reason="writing the report needs the extra 'report'")
pytest.importorskip("jinja2", reason="writing the report needs the extra 'report'")


class Page(HTMLParser):
    """What a browser would see: elements with attributes, and the text of each script, style and cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open = tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open, data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self) -> str:
        return " ".join(data for tag, data in self.texts if tag not in ("script", "style"))


def written(folder: Path) -> Page:
    """The report of a folder, with a line in place of the 5 MB of the plotting library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "_plotly", lambda: "// the plotting library")
        return Page(write_report(folder).read_text())


def write_all(folder: Path, title: str = "a model") -> None:
    for write in (write_footprint, write_profile, write_hardware, write_inspection):
        write(folder, title=title)
    (folder / "summary.json").write_text(json.dumps(SUMMARY))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("results")
    write_all(folder, title=EVIL)
    return written(folder)


def test_it_opens_on_the_five_answers(page: Page) -> None:
    text = page.text()
    questions = ["What is it?", "How fast is it?", "How big is it?", "How right is it?", "What limits it?"]
    assert sorted(questions, key=text.index) == questions
    for answer in ("LSTM, 3 → 5", "100 k sequences/s", "bit-exact", "the recurrence", "353 cycles per step"):
        assert answer in text, answer


def test_a_name_from_a_model_stays_text(page: Page) -> None:
    assert EVIL in page.text()
    assert len(page.of("script")) == 3
    assert not page.of("img")
    assert not [name for tag, attributes in page.elements for name in attributes if name.startswith("on")]


def test_no_address_leads_outside(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "data", "action", "srcset", "poster"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "data:")), (tag, name, address)
    style = "".join(data for tag, data in page.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_lets_exactly_the_page_s_own_scripts_run(tmp_path: Path) -> None:
    write_hardware(tmp_path)
    text = write_report(tmp_path).read_text()
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0])
    assert "default-src 'none'" in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert scripts[0] == plotly.offline.get_plotlyjs()
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_every_figure_has_a_description_a_table_and_its_data(page: Page) -> None:
    figures = [attributes for tag, attributes in page.elements if tag == "div" and "data-figure" in attributes]
    assert len(figures) == 8
    ids = [attributes.get("id") for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    downloads = {link["download"] for link in page.of("a") if "download" in link}
    for figure in figures:
        assert figure["aria-labelledby"] in ids
        assert figure["aria-describedby"] in ids
        assert f"{figure['id']}-table.csv" in downloads


def test_figures_are_what_plotly_takes(tmp_path: Path) -> None:
    """Plotly's own Python classes check every name and type of the figures."""
    graph_objects = pytest.importorskip("plotly.graph_objects")
    write_all(tmp_path)
    page = written(tmp_path)
    data = json.loads(next(text for tag, text in page.texts if tag == "script" and text.startswith('{"figures"')))
    assert len(data["figures"]) == 8
    for figure in data["figures"].values():
        drawn = json.loads(re.sub(r'"--\w+"', '"#123456"', json.dumps(figure)))
        graph_objects.Figure(drawn["data"], drawn["layout"])


def test_every_component_of_a_call_is_drawn(tmp_path: Path) -> None:
    names = [f"stage {at}" for at in range(11)]
    parts = [{**PARTS[0], "name": name, "share": 1 / 11} for name in names]
    components = [{**PROFILE["components"][0], "parts": parts}]
    save_result(tmp_path / "profile.json", "profile", {**PROFILE, "components": components})
    page = written(tmp_path)
    data = json.loads(next(text for tag, text in page.texts if tag == "script" and text.startswith('{"figures"')))
    bars = data["figures"]["components-0"]["data"]
    assert [bar["name"] for bar in bars] == names
    assert sum(sum(bar["x"]) for bar in bars) == pytest.approx(1)


def test_the_gates_are_those_of_the_result_file(tmp_path: Path) -> None:
    write_inspection(tmp_path)
    page = written(tmp_path)
    data = json.loads(next(text for tag, text in page.texts if tag == "script" and text.startswith('{"figures"')))
    gates, result = data["gates"]["gates-0"], load_result(tmp_path / "inspection.json")
    assert gates["lengths"] == [8, 5, 1, 0]
    assert gates["fixed"] is True
    for name, array in gates["arrays"].items():
        decoded = np.frombuffer(base64.b64decode(array["data"]), "<f4").reshape(array["shape"])
        np.testing.assert_array_equal(decoded, result.arrays[name])


def test_csv_holds_the_numbers_of_the_table(tmp_path: Path) -> None:
    write_hardware(tmp_path)
    page = written(tmp_path)
    link = next(link for link in page.of("a") if link.get("download") == "hardware-1.csv")
    text = base64.b64decode((link["href"] or "").partition("base64,")[2]).decode()
    assert text.splitlines()[1] == "l0,3,5,4,40,41,41.0,97.6%"


@pytest.mark.parametrize("write", [write_footprint, write_profile, write_hardware, write_inspection])
def test_each_kind_stands_alone(tmp_path: Path, write: Callable[..., None]) -> None:
    write(tmp_path)
    page = written(tmp_path)
    assert "a model" in page.text()
    assert "Files that were left out" not in page.text()


@pytest.mark.parametrize("write", [write_footprint, write_profile, write_hardware, write_inspection])
def test_a_result_that_lacks_a_field_is_named_and_left_out(tmp_path: Path, write: Callable[..., None]) -> None:
    write(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
    (path,) = (path for path in tmp_path.glob("*.json") if path.name != "summary.json")
    whole = json.loads(path.read_text())
    for field in whole["data"]:
        path.write_text(json.dumps({**whole, "data": {**whole["data"], field: 17}}))
        text = written(tmp_path).text()
        assert "bit-exact" in text
    path.write_text(json.dumps({**whole, "data": {}}))
    assert f"{path.name} is no proper {path.stem}" in written(tmp_path).text()


def test_a_profile_without_components_shows_its_throughput(tmp_path: Path) -> None:
    bottleneck = {"bound": "unknown", "reason": "Components are measured on device 'cpu' alone.", "bounds": []}
    save_result(
        tmp_path / "profile.json",
        "profile",
        {**PROFILE, "device": "reference", "components": [], "limits": None, "bottleneck": bottleneck},
    )
    text = written(tmp_path).text()
    assert "Throughput over the batch size" in text
    assert "on reference" in text


def test_parts_that_don_t_add_up_are_called_out(tmp_path: Path) -> None:
    write_profile(tmp_path)
    assert "more than 10 %" not in written(tmp_path).text()
    components = [{**part, "unexplained": -0.12} for part in PROFILE["components"]]
    save_result(tmp_path / "profile.json", "profile", {**PROFILE, "components": components})
    assert "within 12.0%. That is more than 10 %" in written(tmp_path).text()


def test_memory_that_is_not_as_predicted_is_called_out(tmp_path: Path) -> None:
    write_footprint(tmp_path)
    data = dict(load_result(tmp_path / "footprint.json").data)
    save_result(tmp_path / "footprint.json", "footprint", {**data, "disagreements": ["workspace"]})
    assert "Off by more than 5 %: workspace" in written(tmp_path).text()


def test_a_page_that_can_t_be_written_is_a_sentence(tmp_path: Path) -> None:
    write_hardware(tmp_path)
    with pytest.raises(OutputError, match=r"can't write .*report\.html"):
        write_report(tmp_path, tmp_path / "missing" / "report.html")
    with pytest.raises(InputError, match="is no folder"):
        write_report(tmp_path / "nowhere")


def test_a_profile_that_was_only_predicted_says_so(tmp_path: Path) -> None:
    profile(LSTMSpec(1 << 20, 1 << 20), 1 << 10, device="reference").save(tmp_path / "profile.json")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "predicted only: the run would take" in page
