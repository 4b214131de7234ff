"""The files in deploy/ and the Dockerfile: dashboard, alerts, Kubernetes, Compose, health check."""

import concurrent.futures
import json
import math
import os
import re
import subprocess
import tempfile
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
from test_readme import anchors

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
DEPLOYMENT = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text().split("\n---\n")[0])
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())

METRIC = r"(?:customer_groups|rpc_server|http_server|db_client|process)_\w+"


def run(*command):
    return subprocess.run(command, text=True, timeout=60, capture_output=True)


def lost(given, kept, path=""):
    """Returns the paths of values in `given` that `kept` lacks or changes. Additional defaults in `kept` are allowed."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [place for key in given for place in lost(given[key], kept.get(key), f"{path}/{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [place for index, one in enumerate(given) for place in lost(one, kept[index], f"{path}/{index}")]
    return [] if given == kept else [path]


def queries():
    """Yields the queries of the dashboard, with the variables set as for all replicas."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".+")
            assert "$" not in query, query
            yield query
    variable = re.fullmatch(r"label_values\((\w+), (\w+)\)", DASHBOARD["templating"]["list"][1]["query"]["query"])
    yield f'{variable[1]}{{{variable[2]}!=""}}'


def series():
    """Yields a query for each metric in the alerts, with the labels that they select by."""
    for alert in ALERTS:
        for name, chosen in re.findall(rf"({METRIC})(?:{{([^}}]*)}})?", alert["expr"]):
            if name == "customer_groups_certificate_not_after_seconds":
                continue  # It exists only with TLS; tests/tls.rs reads it.
            has = ", ".join(f'{label}!=""' for label in re.findall(r"(\w+)[=!]~?\"", chosen))
            yield f"{name}{{{has}}}"


class Monitoring(unittest.TestCase):
    def test_grafana_accepts_every_field_of_the_dashboard(self):
        register_default_plugins()
        kept = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
        self.assertEqual(lost(DASHBOARD, kept), [])

    def test_every_query_of_the_dashboard_and_the_alerts_has_a_result(self):
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
                # The duration of a method without recent calls is NaN.
                self.assertFalse(all(math.isnan(value) for value in found.values()), found)

    def test_each_alert_fires_only_when_it_should(self):
        folder = DEPLOY / "prometheus"
        for command in [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")]:
            done = run("promtool", *command[:2], folder / command[2])
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        tested = (folder / "alerts_test.yml").read_text()
        for alert in ALERTS:
            self.assertIn(f'alertname="{alert["alert"]}"', tested)

    def test_each_alert_has_a_runbook(self):
        for alert in ALERTS:
            with self.subTest(alert["alert"]):
                self.assertIn(alert["labels"]["severity"], ["critical", "warning"])
                self.assertTrue(alert["annotations"]["summary"] and alert["annotations"]["description"])
                page, anchor = alert["annotations"]["runbook"].split("#")
                self.assertIn(anchor, anchors(ROOT / page))
        listed = re.findall(r"`(CustomerGroups[A-Z]\w+)`", (ROOT / "docs" / "observability.md").read_text())
        self.assertEqual(sorted(listed), sorted(alert["alert"] for alert in ALERTS))


def settings_of_the_pod():
    """Returns the settings in the Kubernetes deployment, without secrets."""
    (container,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def is_healthy(**settings):
    """Runs the health check of the image with these settings."""
    check = re.search(r"^HEALTHCHECK .*? CMD (.*)$", DOCKERFILE, re.MULTILINE)[1]
    return subprocess.run(["sh", "-c", check], env={"PATH": os.environ["PATH"], **settings}, timeout=10).returncode == 0


def confined(*command):
    """Returns the command, run as in the deployment: as an unprivileged user, on a read-only file system."""
    user = DEPLOYMENT["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    confine = f"mount -o remount,bind,ro / && exec setpriv --reuid={user} --regid={user} --clear-groups"
    confine += ' --bounding-set=-all --no-new-privs "$@"'
    return ["unshare", "--mount", "sh", "-c", confine, "sh", *command]


class Running(unittest.TestCase):
    def test_kubernetes_accepts_every_field(self):
        done = run(BIN / "kubernetes-validate", "--strict", DEPLOY / "kubernetes.yaml")
        self.assertEqual((done.returncode, done.stdout.count(" passed ")), (0, 5), done.stdout + done.stderr)

    def test_compose_accepts_every_field(self):
        PyCompose.from_json(json.dumps(COMPOSE)).validate()
        done = run(BIN / "compose-lint", "check", DEPLOY / "compose.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_service_accepts_every_setting(self):
        said = run(BINARY, "serve", "--help").stdout
        known = re.findall(r"\[env:\s+(\w+)", said)
        (container,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]
        given = {one["name"] for one in container["env"]} | set(COMPOSE["services"]["customer-groups"]["environment"])
        self.assertEqual(given - set(known), set())

    def test_the_grace_period_covers_the_drain_timeout(self):
        # The export of the last traces takes up to 3 s.
        drain = int(settings_of_the_pod()["DRAIN_TIMEOUT"].removesuffix("s")) + 3
        pod = DEPLOYMENT["spec"]["template"]["spec"]
        before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertGreater(pod["terminationGracePeriodSeconds"], before + drain)
        grace = COMPOSE["services"]["customer-groups"]["stop_grace_period"]
        self.assertGreater(int(grace.removesuffix("s")), drain)

    def test_compose_reads_its_variables_from_the_env_file(self):
        example = (DEPLOY / ".env.example").read_text()
        documented = set(re.findall(r"^(\w+)=", example, re.MULTILINE))
        text = (DEPLOY / "compose.yaml").read_text()
        self.assertEqual(set(re.findall(r"\$\{(\w+)", text)), documented)
        required = dict(re.findall(r"\$\{(\w+):\?([^}]*)\}", text))
        self.assertEqual(set(required), {"POSTGRES_PASSWORD", "API_KEY"})
        for name, message in required.items():
            self.assertIn(f"set {name} in deploy/.env", message)

    def test_the_health_check_follows_the_address(self):
        for host in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"]:
            with self.subTest(host):
                listen = f"{host}:{free_port()}"
                self.assertFalse(is_healthy(LISTEN=listen))
                with Service(LISTEN=listen):
                    self.assertTrue(is_healthy(LISTEN=listen))
                    # A proxy for outgoing calls is not used.
                    self.assertTrue(is_healthy(LISTEN=listen, http_proxy="http://127.0.0.1:1"))

    def test_the_health_check_uses_the_unix_socket(self):
        with tempfile.TemporaryDirectory(prefix="customer-groups-test-") as folder:
            listen = f"unix:{folder}/api.sock"
            self.assertFalse(is_healthy(LISTEN=listen))
            with Service(LISTEN=listen):
                self.assertTrue(is_healthy(LISTEN=listen))

    def test_the_health_check_uses_tls_if_the_service_does(self):
        with tempfile.TemporaryDirectory(prefix="customer-groups-test-") as folder:
            tls = {"TLS_CERT": f"{folder}/tls.crt", "TLS_KEY": f"{folder}/tls.key"}
            command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other"]
            done = run(*command, "-out", tls["TLS_CERT"], "-keyout", tls["TLS_KEY"])
            self.assertEqual(done.returncode, 0, done.stderr)
            listen = f"0.0.0.0:{free_port()}"
            with Service(LISTEN=listen, **tls):
                self.assertTrue(is_healthy(LISTEN=listen, **tls))
                self.assertFalse(is_healthy(LISTEN=listen))

    @unittest.skipUnless(os.geteuid() == 0, "only root can change the user")
    def test_the_image_without_a_database_asks_for_database_url(self):
        settings = dict(one.split("=", 1) for one in re.search(r"^ENV (LISTEN=.*)$", DOCKERFILE, re.MULTILINE)[1].split())
        for command in [[], ["keys", "create", "--name", "shop"]]:
            environment = settings | {"PATH": os.environ["PATH"]}
            done = subprocess.run(
                confined(BINARY, *command), env=environment, cwd="/", text=True, timeout=60, capture_output=True
            )
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stderr, "DATABASE_URL: .*postgres://user:password@host")

    @unittest.skipUnless(os.geteuid() == 0, "only root can change the user")
    def test_the_service_runs_as_an_unprivileged_user_on_a_read_only_file_system(self):
        database, port = self.enterContext(Service()), free_port()
        pooler = {"pool_mode": "session", "ignore_startup_parameters": "options", "default_pool_size": 50}
        self.enterContext(Pooler(database, listen_addr="127.0.0.1", listen_port=port, **pooler))
        settings = settings_of_the_pod() | {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"postgres://customer_groups@127.0.0.1:{port}/groups",
            "LISTEN": "127.0.0.1:0",
            "ADMIN_LISTEN": "127.0.0.1:0",
        }
        # tests/tls.rs covers TLS.
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
