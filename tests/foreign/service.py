"""Runs the release binary with a private PostgreSQL."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading

FOREIGN = pathlib.Path(__file__).resolve().parent
ROOT = FOREIGN.parents[1]
KEY = "sk_test_the_key_of_the_foreign_clients"
INSTALLED = ROOT / "target" / "foreign"
BIN = INSTALLED / "bin"
BINARY = ROOT / "target" / "release" / "customer-groups"


class Program:
    """A child process. The constructor returns when a line on standard error matches `ready`."""

    def __init__(self, command, ready, environment=None):
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.logged = ""
        for line in self.process.stderr:
            self.logged += line
            if found := re.search(ready, line):
                self.ready = found
                # Keep reading: a full pipe would block the program.
                self.reader = threading.Thread(target=self.read)
                self.reader.start()
                return
        raise RuntimeError(f"{command[0]} did not start:\n{self.logged}")

    def read(self):
        self.logged += self.process.stderr.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.reader.join()
        code = self.process.wait()
        self.process.stderr.close()
        assert code == 0, f"{self.process.args[0]} exited with {code}"
        assert not re.search(r"sk_(test|live)_\w{8}", self.logged), "an API key is in the log"


class Service:
    """The service with these settings. A setting that is None is not set."""

    def __init__(self, **settings):
        self.settings = settings

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="customer-groups-test-")
        # As root, PostgreSQL runs as another user, which must reach the folder.
        os.chmod(self.folder.name, 0o755)
        self.settings = {
            "PATH": os.environ["PATH"],
            "LISTEN": "127.0.0.1:0",
            "ADMIN_LISTEN": "127.0.0.1:0",
            "DATA_DIR": self.folder.name,
            "API_KEY": KEY,
            **self.settings,
        }
        self.settings = {name: value for name, value in self.settings.items() if value is not None}
        self.program = Program([BINARY], r"serving address=(\S+)", self.settings)
        self.address = self.program.ready[1]
        self.admin = re.search(r"serving metrics address=(\S+)", self.program.logged)[1]
        return self

    def __exit__(self, *_):
        self.program.stop()
        self.folder.cleanup()

    def read_only_key(self):
        command = [BINARY, "keys", "create", "--name", "reader", "--read-only"]
        return subprocess.run(
            command, env=self.settings, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ).stdout.strip()


def socket_of(service):
    """Returns the folder of its PostgreSQL socket."""
    return pathlib.Path(service.settings["DATA_DIR"], "socket")


def as_postgres(command):
    """Returns the command, run as the user of the private PostgreSQL."""
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    return [*user, *command] if os.geteuid() == 0 else command
