"""Options survive JSON, and everything impossible in them is a sentence."""

import json
from typing import Any

import pytest

from gatesmith.errors import ExportError
from gatesmith.hardware.options import PIPELINES, Options, Pipeline, pipeline_of
from gatesmith.hardware.timing import PIPELINE


def test_options_survive_json() -> None:
    options = Options(multipliers=7, pipeline=Pipeline(in_elements=3, sum_stages=0), max_steps=5, output="class")
    assert Options.from_dict(json.loads(json.dumps(options.to_dict()))) == options


def test_the_deep_pipeline_is_the_default_of_the_hardware() -> None:
    deep = PIPELINES["deep"]
    assert {"InElements": deep.in_elements, "OutElements": deep.out_elements, **deep.stages()} == PIPELINE
    assert pipeline_of("deep") == pipeline_of(deep) == Options().pipeline


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sum_stages": 2}, "sum_stages is 2; expected an integer from 0 to 1"),
        ({"memory_stages": True}, "memory_stages is True; expected an integer"),
        ({"in_elements": 0}, "in_elements is 0; expected an integer from 1"),
    ],
)
def test_impossible_pipelines_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        Pipeline(**values)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ExportError, match="the options of an export have to be an object with multipliers"):
        Options.from_dict({**Options().to_dict(), "colour": 3})
    with pytest.raises(ExportError, match="the pipeline is 'wide'; expected deep, middle, shallow"):
        pipeline_of("wide")


def test_only_what_can_be_shared_has_a_name() -> None:
    with pytest.raises(ExportError, match="share is 'layer'; expected none, directions, layers"):
        Options(share="layer")


@pytest.mark.parametrize("interleave", [0, 3, 128, True])
def test_only_powers_of_two_take_turns(interleave: int) -> None:
    with pytest.raises(ExportError, match="interleave is"):
        Options(interleave=interleave)
