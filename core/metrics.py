"""Metrics of one process: a flat mapping of names to values, in JSON and for Prometheus.

A name that ends in ``_total`` is a counter and never falls; every other number is a gauge; texts
appear in JSON and as labels of ``pulseboard_info``. Values are read when somebody asks: nothing is
counted twice for the sake of being exported.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

Metrics = dict[str, int | float | str]
Source = Callable[[], Metrics]

PROMETHEUS_CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"


class _Snapshot(Collector):
    def __init__(self, metrics: Mapping[str, int | float | str]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        info = {name: value for name, value in self._metrics.items() if isinstance(value, str)}
        if info:
            yield InfoMetricFamily("pulseboard", "What runs here.", value=info)
        for name, value in self._metrics.items():
            if isinstance(value, str):
                continue
            text = name.replace("_", " ").removesuffix(" total").capitalize() + "."
            if name.endswith("_total"):
                yield CounterMetricFamily(f"pulseboard_{name.removesuffix('_total')}", text, value=value)
            else:
                yield GaugeMetricFamily(f"pulseboard_{name}", text, value=value)


def to_prometheus(metrics: Mapping[str, int | float | str]) -> bytes:
    """The text exposition of `metrics`, each name prefixed with ``pulseboard_``."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(metrics))
    return generate_latest(registry)


def total(snapshots: Iterable[Mapping[str, int | float | str]]) -> Metrics:
    """The sums over several processes of every number; texts are left out."""
    sums: Metrics = {}
    for snapshot in snapshots:
        for name, value in snapshot.items():
            if not isinstance(value, str):
                sums[name] = sums.get(name, 0) + value  # type: ignore[operator]  # numbers only here
    return sums
