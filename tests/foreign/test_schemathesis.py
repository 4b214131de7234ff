"""Schemathesis checks the service against its OpenAPI description, with valid and invalid requests."""

import os
import subprocess
import unittest

from service import BIN, FOREIGN, INSTALLED, KEY, Service


class Schemathesis(unittest.TestCase):
    def test_the_service_is_as_it_is_described(self):
        with Service() as service:
            environment = {**os.environ, "PYTHONPATH": str(FOREIGN), "API_KEY": KEY}
            url = f"http://{service.address}/openapi.json"
            command = [BIN / "st", "--config-file", FOREIGN / "schemathesis.toml", "run", url]
            # The output, with the seed and a curl command for each failure, is not captured.
            self.assertEqual(subprocess.run(command, cwd=INSTALLED, env=environment).returncode, 0)


if __name__ == "__main__":
    unittest.main()
