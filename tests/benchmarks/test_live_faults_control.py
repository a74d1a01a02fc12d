"""The HTTP API for faults during a run."""

import http.client
import json

import pytest

from benchmarks.simulator.live.errors import FaultError
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.control import FaultControl
from benchmarks.simulator.live.faults.specs import KINDS
from benchmarks.simulator.live.faults.stream import FaultyStream
from benchmarks.simulator.log_formats import LOG_FORMATS
from tests.benchmarks.fault_lines import ITEM, LINES, WORLD, CollectingStream


@pytest.fixture
def faults():
    return FaultSchedule(WORLD)


@pytest.fixture
def control(faults):
    with FaultControl(faults) as control:
        yield control


def request(control, method, path="/faults", body=None, headers=None):
    connection = http.client.HTTPConnection(control.host, control.port, timeout=10)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def test_faults_added_during_the_run_count_from_then(control, faults):
    """GET lists waiting, active and done faults."""
    faults.tick(100)
    status, content = request(
        control, "POST", body=f"5s flood item={ITEM} accounts=4 views=8 for=3s"
    )
    assert (status, content["state"], content["begins_seconds"]) == (200, "waiting", 105)
    stream = FaultyStream(CollectingStream(), faults, WORLD, LOG_FORMATS["2022"])
    seen = []
    for second in (104, 105, 108):
        faults.tick(second)
        stream.send(LINES["2022"][:9])
        status, listed = request(control, "GET")
        seen.append([len(listed[state]) for state in ("waiting", "active", "done")])
    assert seen == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert listed["seconds"] == 108
    assert listed["done"][0]["accounts"] == 4  # their number; the fault log has the ids
    assert set(listed["kinds"]) == set(KINDS)
    assert listed["kinds"]["flood"]["item"] == "item id"


@pytest.mark.parametrize(
    ("bad", "status", "message"),
    [
        (("POST", "/faults", "5s flod"), 400, "'flod' is not a kind of fault; choose from flood, "),
        (("POST", "/faults", "0s viral item=no"), 400, "no item 'no' in the catalogue"),
        (("POST", "/faults", b"\xff"), 400, "write AT KIND"),
        (("POST", "/faults", "x" * 5000), 413, "a fault has at most 4096 bytes"),
        (("POST", "/faults", "", {"Content-Length": "-1"}), 413, "a fault has at most"),
        (("POST", "/", "now traffic"), 404, "send faults to /faults"),
        (("GET", "/"), 404, "use /faults"),
    ],
    ids=["kind", "item", "bytes", "long", "length", "post", "get"],
)
def test_a_bad_request_gets_its_reason(control, faults, bad, status, message):
    """And no fault is added."""
    answer = request(control, *bad)
    assert answer[0] == status
    assert message in answer[1]["message"]
    assert faults.all() == []


def test_a_used_port_is_an_error(control, faults):
    with pytest.raises(FaultError, match=f"port {control.port}: cannot be opened for faults"):
        FaultControl(faults, control.port)
