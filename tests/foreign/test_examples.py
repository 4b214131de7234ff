"""The examples complete their tour, and report a missing key, an unknown key and an unreachable service."""

import os
import subprocess
import sys
import unittest

from service import INSTALLED, KEY, ROOT, Service

EXAMPLES = INSTALLED / "examples"
RUST = [ROOT / "target" / "debug" / "examples" / "client"]
PYTHON = [sys.executable, EXAMPLES / "client.py"]
TYPESCRIPT = ["npm", "--prefix", EXAMPLES / "typescript", "--silent", "start"]
TOUR = """\
created: All customers, Wholesale, Retail, Online, Export
roots: 1 of 1: All customers
name contains SALE: 1 of 1: Wholesale
page of children: Online, Retail
page of children: Wholesale
updated: Wholesale has Net 30
rejected: ETAG_MISMATCH; reading again
updated: Wholesale has Net 60
rejected: parent_id: parent_id "nobody" is not a customer group; give the id of one, or null for a root
rejected: customer_group_name: customer_group_name is required; give it 1 to 255 characters that are not white space
created: Outlet
created: Outlet (replayed)
streamed: Outlet
streamed: Online
streamed: Retail
streamed: Wholesale
streamed: Export
deleted: 6 groups
"""


class Examples(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())

    def run_example(self, command, **settings):
        environment = {"PATH": os.environ["PATH"], "ADDRESS": f"http://{self.service.address}", **settings}
        return subprocess.run(command, env=environment, text=True, timeout=120, capture_output=True)

    def takes_the_tour(self, command):
        # A second tour shows that the first one cleaned up.
        for _ in range(2):
            done = self.run_example(command, API_KEY=KEY)
            self.assertEqual((done.stdout, done.stderr, done.returncode), (TOUR, "", 0))
        for why, settings in [
            ("API_KEY is not set; set it to a key with write access", {}),
            ("this API key is unknown or revoked", {"API_KEY": "sk_test_that_nobody_ever_made"}),
            ("the tour failed: ", {"API_KEY": KEY, "ADDRESS": "http://127.0.0.1:1"}),
        ]:
            done = self.run_example(command, **settings)
            self.assertEqual((done.stdout, done.returncode), ("", 1))
            self.assertRegex(done.stderr, rf"\A.*{why}.*\n\Z")

    def test_rust(self):
        self.takes_the_tour(RUST)

    def test_python(self):
        self.takes_the_tour(PYTHON)

    def test_typescript(self):
        self.takes_the_tour(TYPESCRIPT)


if __name__ == "__main__":
    unittest.main()
