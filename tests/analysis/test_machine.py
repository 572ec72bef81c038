"""The machine names what matters for comparing results, and nobody."""

import getpass
import json
import platform

from gatesmith.analysis.machine import this_machine


def test_it_names_processor_cores_and_memory() -> None:
    machine = this_machine()
    assert machine.processor
    assert machine.cores >= 1
    assert machine.memory_bytes > 1 << 28
    assert machine.name == f"{machine.processor}, {machine.cores} cores"
    assert all(size > 0 for size in machine.cache_bytes.values())


def test_it_names_no_host_and_no_user() -> None:
    text = json.dumps(this_machine().to_dict())
    for private in (platform.node(), getpass.getuser()):
        assert len(private) < 5 or private not in text
