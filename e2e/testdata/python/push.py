"""One step of a batch job, made with prometheus_client: push.py URL JOB push|add|delete [gzip]"""

import gzip
import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import delete_from_gateway, push_to_gateway, pushadd_to_gateway
from prometheus_client.exposition import default_handler


def gzip_handler(url, method, timeout, headers, data):
    """Compresses the body, as large jobs do."""
    headers = headers + [('Content-Encoding', 'gzip')]
    return default_handler(url, method, timeout, headers, gzip.compress(data))


def batch(registry):
    Counter('client_runs_total', 'Runs.', registry=registry).inc(3)
    Gauge('client_room_celsius', 'Rooms.', ['room'], registry=registry).labels('a "b" \\ c').set(21.5)
    seconds = Histogram('client_seconds', 'Duration.', buckets=[1, 5], registry=registry)
    seconds.observe(0.5)
    seconds.observe(3)


def extra(registry):
    Gauge('client_extra', 'More.', registry=registry).set(1)


def main():
    url, job, step = sys.argv[1:4]
    handler = gzip_handler if sys.argv[4:] == ['gzip'] else default_handler
    registry = CollectorRegistry()
    key = {'instance': 'host/1'}
    if step == 'push':
        batch(registry)
        push_to_gateway(url, job, registry, grouping_key=key, handler=handler)
    elif step == 'add':
        extra(registry)
        pushadd_to_gateway(url, job, registry, grouping_key=key, handler=handler)
    else:
        delete_from_gateway(url, job, grouping_key=key, handler=handler)


main()
