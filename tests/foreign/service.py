"""The release binary, running on a private PostgreSQL of its own."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "sk_test_the_key_of_the_foreign_clients"
BIN = ROOT / "target" / "foreign" / "bin"


class Service:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="customer-groups-test-")
        # PostgreSQL may have to run as another user.
        os.chmod(self.folder.name, 0o755)
        settings = {
            "PATH": os.environ["PATH"],
            "LISTEN": "127.0.0.1:0",
            "DATA_DIR": self.folder.name,
            "API_KEY": KEY,
        }
        self.process = subprocess.Popen(
            [ROOT / "target" / "release" / "customer-groups"],
            env=settings,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stderr:
            if serving := re.search(r"serving address=(\S+)", line):
                self.address = serving[1]
                # A log that nobody reads would in the end stop the service.
                self.reader = threading.Thread(target=self.process.stderr.read)
                self.reader.start()
                return self
        raise RuntimeError("the service did not start")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.reader.join()
        code = self.process.wait()
        self.process.stderr.close()
        self.folder.cleanup()
        assert code == 0, f"the service exited with {code}"
