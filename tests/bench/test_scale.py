"""The operator's benchmark without a cluster: its parsers, resources and tables."""

import json

import pytest
from bench import results, scale

from market_operator.resource.document import read_resource
from market_operator.resource.spec import read_spec

METRICS = """\
# TYPE market_operator_api_writes_total counter
market_operator_api_writes_total{action="apply",kind="Deployment",result="ok"} 12.0
market_operator_api_writes_total{action="status",kind="MarketCollector",result="conflict"} 3.0
market_operator_status_updates_total{change="conditions"} 20.0
market_operator_sweeps_total 99.0
"""
FIELDS = {"resources", "seconds", "rss_mb", "api_writes", "idle_cpu_percent", "idle_writes_per_minute"}
"""docs/contracts.md, benchmark results."""
RUN = {
    **dict.fromkeys(FIELDS, 1.0),
    "resources": 1_000,
    "seconds": 20.0,
    "rss_mb": 70.0,
    "rss_peak_mb": 80.0,
    "one_change_s": 0.1,
}
RUN |= {"restart_s": 2.0}


def test_writes_are_counted_by_label_whatever_their_result() -> None:
    found = scale.api_writes(METRICS)
    assert found.total() == 35
    assert found["api_writes action=apply,kind=Deployment,result=ok"] == 12


def test_passes_are_counted_however_they_ended() -> None:
    rows = 'market_operator_reconcile_total{result="done"} 7.0\nmarket_operator_reconcile_total{result="again"} 2.0\n'
    assert scale.passes(METRICS + rows) == 9


def test_no_writes_are_none() -> None:
    assert scale.api_writes("").total() == 0


@pytest.mark.parametrize(
    ("environment", "sizes"),
    [
        ({}, [1, 1_000]),
        ({"FULL": "1"}, [1, 1_000, 10_000]),
        ({"FULL": "0"}, [1, 1_000]),
        ({"FULL": "1", "RESOURCES": "1,200"}, [1, 200]),
    ],
)
def test_the_environment_sets_the_sizes(environment: dict[str, str], sizes: list[int]) -> None:
    assert scale.sizes(environment) == sizes


def test_a_resource_is_one_that_the_operator_reads_and_fits_on_no_node() -> None:
    document = scale.resource("bench", 7)
    document["metadata"] |= {"uid": "u", "generation": 1, "resourceVersion": "1"}
    spec = read_spec(read_resource(document))
    assert document["metadata"]["name"] == "bench-00007"
    assert spec.template is not None
    assert spec.template.node_selector == scale.NO_NODE


def test_the_table_says_which_goal_was_missed() -> None:
    head, _, row = scale.table([RUN]).splitlines()
    assert head.split()[0] == "resources"
    assert "seconds ≤ 15: MISSED by 33 %" in row
    assert "rss_peak_mb ≤ 90: reached" in row


def test_the_result_file_in_the_repository_has_the_fields() -> None:
    runs = json.loads((results.RESULTS / "operator.json").read_text())
    assert runs
    assert all(run.keys() >= FIELDS for run in runs)
