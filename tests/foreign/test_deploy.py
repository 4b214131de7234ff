"""What deploy/ has for those who watch the service: the dashboard and the alerts."""

import concurrent.futures
import json
import math
import re
import subprocess
import threading
import unittest
import urllib.request

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from service import ROOT, Service
from test_metrics import Prometheus, call_rest, call_rpcs

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]

METRIC = r"(?:customer_groups|rpc_server|http_server|db_client|process)_\w+"


def run(*command):
    return subprocess.run(command, text=True, timeout=60, capture_output=True)


def lost(given, kept, path=""):
    """The places of what was given and was not kept. What is kept may have defaults beside it."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [place for key in given for place in lost(given[key], kept.get(key), f"{path}/{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [place for index, one in enumerate(given) for place in lost(one, kept[index], f"{path}/{index}")]
    return [] if given == kept else [path]


def queries():
    """Those of the dashboard, as Grafana asks them for all replicas."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".+")
            assert "$" not in query, query
            yield query
    variable = re.fullmatch(r"label_values\((\w+), (\w+)\)", DASHBOARD["templating"]["list"][1]["query"]["query"])
    yield f'{variable[1]}{{{variable[2]}!=""}}'


def series():
    """What the alerts look at: each metric, with the labels that they choose by."""
    for alert in ALERTS:
        for name, chosen in re.findall(rf"({METRIC})(?:{{([^}}]*)}})?", alert["expr"]):
            has = ", ".join(f'{label}!=""' for label in re.findall(r"(\w+)[=!]~?\"", chosen))
            yield f"{name}{{{has}}}"


class Monitoring(unittest.TestCase):
    def test_grafana_knows_every_field_of_the_dashboard(self):
        register_default_plugins()
        kept = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
        self.assertEqual(lost(DASHBOARD, kept), [])

    def test_the_dashboard_and_the_alerts_look_at_what_is_there(self):
        service = self.enterContext(Service())
        prometheus = self.enterContext(Prometheus(service.admin))
        done = threading.Event()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            callers = [pool.submit(calls, service.address, done) for calls in [call_rpcs, call_rest]]
            try:
                prometheus.until("count_over_time(up[1h]) > bool 10", lambda found: 1 in found.values())
            finally:
                done.set()
        for caller in callers:
            caller.result()
        asked = [*queries(), *series()]
        self.assertGreater(len(asked), 40)
        for query in asked:
            with self.subTest(query):
                found = prometheus.query(query)
                self.assertTrue(found)
                # Of what was not called lately there is no duration.
                self.assertFalse(all(math.isnan(value) for value in found.values()), found)

    def test_each_alert_is_told_and_not_told_as_it_should_be(self):
        folder = DEPLOY / "prometheus"
        for command in [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")]:
            done = run("promtool", *command[:2], folder / command[2])
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        tested = (folder / "alerts_test.yml").read_text()
        for alert in ALERTS:
            self.assertIn(f'alertname="{alert["alert"]}"', tested)

    def test_each_alert_leads_to_what_is_to_be_done(self):
        operations = (ROOT / "docs" / "operations.md").read_text()
        headings = re.findall(r"^#+ (.*)$", operations, re.MULTILINE)
        anchors = {heading.lower().replace(" ", "-") for heading in headings}
        for alert in ALERTS:
            with self.subTest(alert["alert"]):
                self.assertIn(alert["labels"]["severity"], ["critical", "warning"])
                self.assertTrue(alert["annotations"]["summary"] and alert["annotations"]["description"])
                file, anchor = alert["annotations"]["runbook"].split("#")
                self.assertEqual(file, "docs/operations.md")
                self.assertIn(anchor, anchors)
        told = set(re.findall(r"`(CustomerGroups[A-Z]\w+)`", operations))
        self.assertEqual(told, {alert["alert"] for alert in ALERTS})


if __name__ == "__main__":
    unittest.main()
