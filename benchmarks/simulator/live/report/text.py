"""The report as text, for people."""

from collections.abc import Iterator, Sequence
from typing import Final

from batch.evaluation.bootstrap import Interval
from benchmarks.simulator.live.report.comparison import Difference
from benchmarks.simulator.live.report.figures import ALL, Figure, Report, ServerFigures
from benchmarks.simulator.live.report.metrics import METRICS
from benchmarks.simulator.live.requests.messages import LIMIT_MS

_BY_GROUP: Final = ("click_through", "mrr", "minutes", "rating", "uplift")
_SIGNIFICANCE_LEVEL: Final = 0.05


def as_text(report: Report) -> str:
    """Return the whole report, ready to be printed."""
    return "\n".join(
        [
            *_run(report),
            *(line for one in report.servers for line in _answers(one, report)),
            "",
            *_users(report),
            "",
            *_groups(report),
            *_differences(report.differences),
        ]
    )


def _run(report: Report) -> Iterator[str]:
    result = report.result
    cost = result.cost
    both = cost.processor_seconds + cost.client_seconds
    n = sum(one.n_requests + one.n_malformed for one in report.servers)
    yield (
        f"{n:,} requests in {cost.seconds:.1f} s, {n / max(cost.seconds, 1e-9):,.0f} a second; "
        f"{result.n_lines:,} lines written"
        + (f", {result.n_dropped:,} dropped" * bool(result.n_dropped))
    )
    yield (
        f"the simulator took {both / max(cost.seconds, 1e-9):.0%} of one core "
        f"({cost.client_seconds / max(cost.seconds, 1e-9):.0%} to send requests), "
        f"and sent 99 % of the requests within {report.late_p99_ms:.1f} ms"
    )


def _answers(one: ServerFigures, report: Report) -> Iterator[str]:
    good = one.n_requests - one.n_failed
    yield ""
    yield f"{one.server}"
    yield (
        f"  succeeded     {good:,} of {one.n_requests:,} "
        f"({_percent(good, one.n_requests)}) within {LIMIT_MS:.0f} ms"
    )
    for kind, n in one.failures.items():
        yield f"    {n:,} × {kind}, for example {report.result.examples.get(kind, '')}"
    if one.n_sent_late:
        yield f"    {one.n_sent_late:,} of these were sent late by the simulator itself"
    yield (
        f"  malformed     {one.n_malformed - one.n_not_refused:,} of {one.n_malformed:,} refused"
    )
    yield "  latency       " + ", ".join(f"{k[:-3]} {v:.2f} ms" for k, v in one.percentiles.items())
    by_source = ", ".join(f"{source} {n:,}" for source, n in sorted(one.sources.items()))
    yield f"  personalised  {one.personalised:.1%} ({by_source or 'no source given'})"


def _users(report: Report) -> Iterator[str]:
    servers = [one.server for one in report.servers]
    found = {(f.server, f.metric): f for f in report.figures if f.group == ALL}
    rows = [
        [
            metric.name,
            *(_shown(found[server, metric.name].interval) for server in servers),
            metric.description,
        ]
        for metric in METRICS
    ]
    yield from _table(["metric", *servers, "description"], rows)


def _groups(report: Report) -> Iterator[str]:
    rows: dict[tuple[str, str], list[str]] = {}
    for figure in report.figures:
        if figure.metric in _BY_GROUP and figure.n_users:
            row = rows.setdefault((figure.server, figure.group), _group_head(figure))
            row.append(_shown(figure.interval))
    yield from _table(["server", "group", "users", "requests", *_BY_GROUP], list(rows.values()))


def _group_head(figure: Figure) -> list[str]:
    return [figure.server, figure.group, f"{figure.n_users:,}", f"{figure.n_requests:,}"]


def _differences(differences: Sequence[Difference]) -> Iterator[str]:
    if not differences:
        return
    yield ""
    rows = [
        [
            one.metric,
            _shown(Interval(one.value, one.low, one.high)),
            f"{one.p_value:.2g}",
            "yes" if one.p_value < _SIGNIFICANCE_LEVEL else "no",
        ]
        for one in differences
    ]
    yield from _table(["metric", "second minus first", "p", "significant"], rows)


def _shown(interval: Interval) -> str:
    return f"{interval.mean:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def _percent(n: int, of: int) -> str:
    """Return a percentage that is 100 % only where `n` equals `of`."""
    if n == of:
        return "100 %"
    return f"{min(100 * n / of, 99.9999):.4f} %"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
