"""Prometheus scrapes the service while clients call it."""

import collections
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

import grpc

from service import KEY, Program, Service
from test_grpcio import SERVICE, Client

COLLECTION = "/api/setup/customer-group"
ONE = f"{COLLECTION}/{{id}}"
# Excludes reflection calls.
RPCS = (
    "sum by (rpc_method, rpc_response_status_code)"
    f' (rpc_server_call_duration_seconds_count{{rpc_method=~"{SERVICE}/.*"}})'
)
REQUESTS = (
    "sum by (http_request_method, http_route, http_response_status_code) (http_server_request_duration_seconds_count)"
)


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


class Prometheus:
    """A Prometheus server with one scrape target."""

    def __init__(self, target):
        self.target = target

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="customer-groups-test-")
        folder, self.address = pathlib.Path(self.folder.name), f"127.0.0.1:{free_port()}"
        scrape = {"job_name": "service", "scrape_interval": "200ms", "scrape_timeout": "200ms"}
        config = {"scrape_configs": [{**scrape, "static_configs": [{"targets": [self.target]}]}]}
        # JSON is valid YAML.
        (folder / "prometheus.yml").write_text(json.dumps(config))
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        command = ["prometheus", *options, f"--web.listen-address={self.address}"]
        self.program = Program(command, "Server is ready to receive web requests")
        return self

    def __exit__(self, *_):
        self.program.stop()
        self.folder.cleanup()

    def query(self, query):
        """Returns the values by label set."""
        url = f"http://{self.address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url) as answer:
            found = json.load(answer)["data"]["result"]
        return {frozenset(one["metric"].items()): float(one["value"][1]) for one in found}

    def until(self, query, is_expected):
        """Waits until the result of the query is as expected."""
        begun = time.monotonic()
        while not is_expected(found := self.query(query)):
            assert time.monotonic() - begun < 60, f"{query} is {found}"
            time.sleep(0.1)


def rpc(method, code):
    return frozenset({"rpc_method": f"{SERVICE}/{method}", "rpc_response_status_code": code}.items())


def request(method, route, status):
    labels = {"http_request_method": method, "http_route": route, "http_response_status_code": str(status)}
    return frozenset(labels.items())


def call_rpcs(address, done):
    """Makes gRPC calls until `done` is set, at least one round, and returns their counts."""
    counted = collections.Counter()
    with grpc.insecure_channel(address) as channel:
        client = Client(channel, KEY)
        while not counted or not done.is_set():
            made = client.call("CreateCustomerGroup", customer_group={"customer_group_name": "Export"})
            client.call("GetCustomerGroup", id=made.id)
            client.call("ListCustomerGroups", limit=1)
            try:
                client.call("GetCustomerGroup", id="nobody")
            except grpc.RpcError as error:
                counted[rpc("GetCustomerGroup", error.code().name)] += 1
            for method in ["CreateCustomerGroup", "GetCustomerGroup", "ListCustomerGroups"]:
                counted[rpc(method, "OK")] += 1
    return counted


def call_rest(address, done):
    """Makes REST calls until `done` is set, at least one round, and returns their counts."""
    counted = collections.Counter()
    connection = http.client.HTTPConnection(address)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    while not counted or not done.is_set():
        for method, path, route in [
            ("POST", COLLECTION, COLLECTION),
            ("GET", f"{COLLECTION}/nobody", ONE),
            ("GET", f"{COLLECTION}?limit=1", COLLECTION),
            ("DELETE", f"{COLLECTION}/nobody", ONE),
        ]:
            body = json.dumps({"customer_group_name": "Export"}) if method == "POST" else None
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            counted[request(method, route, answer.status)] += 1
    connection.close()
    return counted


class Metrics(unittest.TestCase):
    def test_what_prometheus_has_scraped_is_what_the_callers_counted(self):
        service = self.enterContext(Service())
        prometheus = self.enterContext(Prometheus(service.admin))
        done = threading.Event()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            rpcs = [pool.submit(call_rpcs, service.address, done) for _ in range(4)]
            requests = [pool.submit(call_rest, service.address, done) for _ in range(4)]
            try:
                prometheus.until("count_over_time(up[1h]) > bool 10", lambda found: 1 in found.values())
            finally:
                done.set()
        rpcs = sum((future.result() for future in rpcs), collections.Counter())
        requests = sum((future.result() for future in requests), collections.Counter())
        prometheus.until(RPCS, lambda found: found == rpcs)
        prometheus.until(REQUESTS, lambda found: found == requests)
        # Every scrape succeeded, with the database up.
        self.assertEqual(set(prometheus.query("min_over_time(up[1h])").values()), {1})
        self.assertEqual(set(prometheus.query("customer_groups_database_up").values()), {1})

    def test_promtool_finds_nothing_wrong_with_them(self):
        service = self.enterContext(Service())
        done = threading.Event()
        done.set()
        call_rpcs(service.address, done)
        call_rest(service.address, done)
        with urllib.request.urlopen(f"http://{service.admin}/metrics") as answer:
            metrics = answer.read()
        checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, b""))


if __name__ == "__main__":
    unittest.main()
