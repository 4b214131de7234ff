"""PgBouncer between the service and PostgreSQL."""

import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import tempfile
import unittest
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from service import BINARY, KEY, Program, Service, as_postgres, socket_of

# The first version that supports prepared statements in transaction mode.
KEEPS_STATEMENTS = (1, 21)


def version():
    said = subprocess.run(["pgbouncer", "--version"], text=True, stdout=subprocess.PIPE, check=True).stdout
    return tuple(int(number) for number in re.search(r"(\d+)\.(\d+)", said).groups())


VERSION = version()


class Pooler:
    """A PgBouncer in front of a service's database."""

    def __init__(self, service, **settings):
        self.socket = socket_of(service)
        self.settings = settings

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="customer-groups-test-")
        folder = pathlib.Path(self.folder.name)
        settings = {"listen_addr": "", "unix_socket_dir": folder, "auth_type": "any", **self.settings}
        lines = [f"{name} = {value}" for name, value in settings.items()]
        database = f"* = host={self.socket} dbname=postgres user=customer_groups"
        (folder / "pgbouncer.ini").write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines]))
        command = ["pgbouncer", folder / "pgbouncer.ini"]
        if os.geteuid() == 0:
            # PgBouncer refuses to run as root, and only its own user can open the socket of the private PostgreSQL.
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        self.program = Program(as_postgres(command), r"process up")
        self.url = f"host={folder} port=6432 user=customer_groups dbname=groups"
        return self

    def __exit__(self, *_):
        self.program.process.send_signal(signal.SIGINT)
        self.program.reader.join()
        self.program.process.wait()
        self.program.process.stderr.close()
        self.folder.cleanup()


def settings_on(url):
    """Returns the settings of a service that uses this database."""
    addresses = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0"}
    return {"PATH": os.environ["PATH"], "API_KEY": KEY, "DATABASE_URL": url, **addresses}


def refusal(url):
    """Returns the log of a service that refuses to start with this database."""
    ended = subprocess.run([BINARY], env=settings_on(url), text=True, stderr=subprocess.PIPE, timeout=60)
    assert ended.returncode == 1, ended.stderr
    return ended.stderr


def call(address, method, path, body=None, key=KEY):
    request = urllib.request.Request(
        f"http://{address}/api/setup/customer-group{path}",
        method=method,
        data=body and json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


class PgBouncer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = cls.enterClassContext(Service())

    def pooler(self, **settings):
        return self.enterContext(Pooler(self.database, **settings))

    def everything_works(self, pool_mode):
        pooler = self.pooler(pool_mode=pool_mode, ignore_startup_parameters="options", default_pool_size=50)
        with Service(DATABASE_URL=pooler.url) as service:
            root = call(service.address, "POST", "", {"customer_group_name": "root"})
            child = call(service.address, "POST", "", {"customer_group_name": "child"})
            moved = call(service.address, "PATCH", f"/{child['id']}", {"parent_id": root["id"]})
            self.assertEqual(moved["parent_id"], root["id"])
            for tree, expected in [("descendants", child), ("children", child)]:
                found = call(service.address, "GET", f"/{root['id']}/{tree}")
                self.assertEqual([group["id"] for group in found["data"]], [expected["id"]])
            above = call(service.address, "GET", f"/{child['id']}/ancestors")
            self.assertEqual([group["id"] for group in above["data"]], [root["id"]])
            call(service.address, "DELETE", f"/{child['id']}")
            call(service.address, "DELETE", f"/{root['id']}")

    def test_in_session_mode_everything_works(self):
        self.everything_works("session")

    @unittest.skipIf(VERSION < KEEPS_STATEMENTS, "it loses prepared statements")
    def test_in_transaction_mode_everything_works(self):
        self.everything_works("transaction")

    @unittest.skipIf(VERSION < KEEPS_STATEMENTS, "it loses prepared statements")
    def test_statements_are_kept_by_as_few_sessions_as_there_are(self):
        settings = {"ignore_startup_parameters": "options", "default_pool_size": 3}
        pooler = self.pooler(pool_mode="transaction", **settings)
        with Service(DATABASE_URL=pooler.url) as service:
            with ThreadPoolExecutor(16) as callers:
                create = lambda number: call(service.address, "POST", "", {"customer_group_name": f"{number}"})
                made = list(callers.map(create, range(200)))
                found = callers.map(lambda group: call(service.address, "GET", f"/{group['id']}"), made)
                self.assertEqual(list(found), made)

    def test_settings_that_do_not_arrive_are_named_with_what_to_run(self):
        pooler = self.pooler(pool_mode="session", ignore_startup_parameters="options", default_pool_size=50)
        settings = settings_on(pooler.url)
        program = Program([BINARY], r'alter role current_user set plan_cache_mode = force_generic_plan;', settings)
        program.stop()

    def test_options_that_are_refused_are_to_be_ignored(self):
        said = refusal(self.pooler(pool_mode="session").url)
        self.assertIn("unsupported startup parameter", said)
        self.assertIn("add ignore_startup_parameters = options to pgbouncer.ini", said)

    def test_another_isolation_is_refused_at_start(self):
        def sql(text):
            psql = ["psql", "--quiet", "--username=customer_groups", f"--host={socket_of(self.database)}", "postgres"]
            subprocess.run(as_postgres([*psql, "--command", text]), check=True, cwd="/")

        isolation = "alter role customer_groups {} default_transaction_isolation {}"
        sql(isolation.format("set", "= serializable"))
        self.addCleanup(sql, isolation.format("reset", ""))
        said = refusal(self.pooler(pool_mode="session", ignore_startup_parameters="options").url)
        self.assertIn("its transactions are serializable by default; run `alter role current_user set", said)

    @unittest.skipIf(VERSION >= KEEPS_STATEMENTS, "it keeps prepared statements")
    def test_transaction_mode_of_one_that_is_too_old_is_refused_at_start(self):
        said = refusal(self.pooler(pool_mode="transaction", ignore_startup_parameters="options").url)
        self.assertIn("loses prepared statements; use PgBouncer 1.21 or newer", said)

    @unittest.skipIf(VERSION < KEEPS_STATEMENTS, "it has no such setting")
    def test_transaction_mode_without_prepared_statements_is_refused_at_start(self):
        settings = {"ignore_startup_parameters": "options", "max_prepared_statements": 0}
        said = refusal(self.pooler(pool_mode="transaction", **settings).url)
        self.assertIn("set max_prepared_statements above 0", said)


if __name__ == "__main__":
    unittest.main()
