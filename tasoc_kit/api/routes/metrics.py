"""Numbers for Prometheus: requests, jobs, products, this process."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tasoc_kit.api.access import Reads
from tasoc_kit.records.jobs import jobs_in_queues
from tasoc_kit.records.product_list import products_by_name
from tasoc_kit.records.queue_health import queue_health

__all__ = ["router"]

router = APIRouter()


class _Tables:
    """What the database counts, each time it is asked."""

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("tasoc_jobs", "Jobs by queue and state.", labels=("queue", "state"))
        for row in jobs_in_queues().itertuples():
            jobs.add_metric((row.queue, row.state), row.jobs)
        products = GaugeMetricFamily("tasoc_products", "Products by name.", labels=("product",))
        sizes = GaugeMetricFamily("tasoc_product_bytes", "Bytes of products by name.", labels=("product",))
        for name, number, size in products_by_name():
            products.add_metric((name,), number)
            sizes.add_metric((name,), size)
        yield from (jobs, products, sizes)
        for name, value in queue_health().facts.items():
            yield GaugeMetricFamily(f"tasoc_queue_{name}", f"The queue: {name}.", value=value)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "description": "Lines as Prometheus reads them.",
        }
    },
)
def metrics(request: Request, who: Reads) -> Response:
    """Give requests by route and status, their times, jobs by state, products and bytes, memory and CPU."""
    tables = CollectorRegistry()
    tables.register(_Tables())  # type: ignore[arg-type]
    text = generate_latest(request.app.state.counts.registry) + generate_latest(tables)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
