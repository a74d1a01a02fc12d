"""The dashboards: what Grafana needs to load them, and no two alike."""

import pytest

from tests.deploy.files import DEPLOY, dashboards, read_yaml

_PROVISIONING = DEPLOY / "grafana" / "provisioning"


def test_names_of_dashboards_are_unique():
    """Grafana keeps one dashboard a uid, and a title a folder."""
    boards = dashboards()
    assert boards.keys() == {"service", "lists", "pipeline"}
    assert {board["uid"] for board in boards.values()} == {f"marquee-{name}" for name in boards}
    assert len({board["title"] for board in boards.values()}) == len(boards)


@pytest.mark.parametrize("name", ["service", "lists", "pipeline"])
def test_panels_are_sound(name):
    """Unique ids and titles, places that do not overlap, and the provisioned source of data."""
    board = dashboards()[name]
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 0
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    source = read_yaml(_PROVISIONING / "datasources" / "marquee.yaml")["datasources"][0]
    for part in (
        *panels,
        *(t for p in panels for t in p["targets"]),
        *board["annotations"]["list"],
    ):
        assert part["datasource"] == {"type": source["type"], "uid": source["uid"]}


@pytest.mark.parametrize("name", ["service", "lists", "pipeline"])
def test_publishes_are_annotations(name):
    """A generation that is served from now on is marked with its number."""
    marks = {mark["name"]: mark for mark in dashboards()[name]["annotations"]["list"]}
    assert "marquee_generation offset" in marks["Generations"]["expr"]
    assert "{{generation}}" in marks["Generations"]["titleFormat"]
