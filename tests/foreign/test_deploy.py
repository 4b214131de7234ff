"""What deploy/ has: the dashboard, the alerts, and how Kubernetes and Compose run the service."""

import concurrent.futures
import json
import math
import os
import re
import subprocess
import threading
import unittest
import urllib.request

import yaml
from compose_spec import PyCompose
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from service import BIN, BINARY, ROOT, Program, Service
from test_metrics import Prometheus, call_rest, call_rpcs, free_port
from test_pgbouncer import Pooler, call

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
DEPLOYMENT = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text().split("\n---\n")[0])
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())

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
        for command in [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")]:
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


def settings_of_the_pod():
    """Those of the deployment that are no secret."""
    (container,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def confined(*command):
    """The command as the deployment runs it: as a user of no rights, who may write nowhere."""
    user = DEPLOYMENT["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    confine = f"mount -o remount,bind,ro / && exec setpriv --reuid={user} --regid={user} --clear-groups"
    confine += ' --bounding-set=-all --no-new-privs "$@"'
    return ["unshare", "--mount", "sh", "-c", confine, "sh", *command]


class Running(unittest.TestCase):
    def test_kubernetes_knows_every_field(self):
        done = run(BIN / "kubernetes-validate", "--strict", DEPLOY / "kubernetes.yaml")
        self.assertEqual((done.returncode, done.stdout.count(" passed ")), (0, 5), done.stdout + done.stderr)

    def test_compose_knows_every_field(self):
        PyCompose.from_json(json.dumps(COMPOSE)).validate()
        done = run(BIN / "compose-lint", "check", DEPLOY / "compose.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_service_knows_every_setting(self):
        said = run(BINARY, "--help").stdout
        known = re.findall(r"\[env: (\w+)", said)
        (container,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]
        given = {one["name"] for one in container["env"]} | set(COMPOSE["services"]["customer-groups"]["environment"])
        self.assertEqual(given - set(known), set())

    def test_it_has_the_time_to_finish_what_is_under_way(self):
        # The last traces have 3 s.
        drain = int(settings_of_the_pod()["DRAIN_TIMEOUT"].removesuffix("s")) + 3
        pod = DEPLOYMENT["spec"]["template"]["spec"]
        before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertGreater(pod["terminationGracePeriodSeconds"], before + drain)
        grace = COMPOSE["services"]["customer-groups"]["stop_grace_period"]
        self.assertGreater(int(grace.removesuffix("s")), drain)

    @unittest.skipUnless(os.geteuid() == 0, "only root can make itself another user")
    def test_it_serves_as_the_deployment_s_user_who_may_write_nowhere(self):
        database, port = self.enterContext(Service()), free_port()
        pooler = {"pool_mode": "session", "ignore_startup_parameters": "options", "default_pool_size": 50}
        self.enterContext(Pooler(database, listen_addr="127.0.0.1", listen_port=port, **pooler))
        settings = settings_of_the_pod() | {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"postgres://customer_groups@127.0.0.1:{port}/groups",
            "LISTEN": "127.0.0.1:0",
            "ADMIN_LISTEN": "127.0.0.1:0",
        }
        # Its files are tested in tests/tls.rs.
        del settings["TLS_CERT"], settings["TLS_KEY"]
        self.assertNotEqual(run(*confined("touch", "/tmp/written")).returncode, 0)

        program = Program(confined(BINARY), r"serving address=(\S+)", settings)
        self.addCleanup(program.stop)
        for probe in ["/livez", "/readyz"]:
            with urllib.request.urlopen(f"http://{program.ready[1]}{probe}") as answer:
                self.assertEqual(answer.status, 200)
        make = confined(BINARY, "keys", "create", "--name", "shop")
        made = subprocess.run(make, env=settings, check=True, text=True, capture_output=True)
        created = call(program.ready[1], "POST", "", {"customer_group_name": "Export"}, made.stdout.strip())
        self.assertEqual(call(program.ready[1], "GET", f"/{created['id']}", key=made.stdout.strip()), created)


if __name__ == "__main__":
    unittest.main()
