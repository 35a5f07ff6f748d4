from prometheus_client.parser import text_string_to_metric_families

from core.metrics import to_prometheus, total


def test_names_that_end_in_total_are_counters_and_other_numbers_gauges() -> None:
    text = to_prometheus({"requests_total": 3, "in_flight": 1.5, "version": "1.2"}).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["pulseboard_requests"].type == "counter"
    assert families["pulseboard_requests"].samples[0].value == 3
    assert families["pulseboard_in_flight"].type == "gauge"
    assert families["pulseboard_in_flight"].samples[0].value == 1.5
    assert families["pulseboard_info"].samples[0].labels == {"version": "1.2"}


def test_texts_from_anywhere_are_escaped() -> None:
    text = to_prometheus({"worker": 'a"b\\c\nd'}).decode()
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"worker": 'a"b\\c\nd'}


def test_no_metrics_are_no_text() -> None:
    assert to_prometheus({}) == b""


def test_the_total_adds_every_number_and_leaves_texts_out() -> None:
    snapshots = [{"a": 1, "b": 0.5, "name": "x"}, {"a": 2, "c": 1 << 60}, {}]
    assert total(snapshots) == {"a": 3, "b": 0.5, "c": 1 << 60}
    assert total([]) == {}
