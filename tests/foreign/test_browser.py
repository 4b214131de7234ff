"""Chromium on the API documentation page, and on a page of another origin that uses gRPC-Web and REST."""

import json
import subprocess
import threading
import unittest
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from service import INSTALLED, KEY, Service

BROWSER = INSTALLED / "browser"


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Site:
    """Serves the page from a separate origin."""

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=BROWSER / "site"))
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Browser(unittest.TestCase):
    def setUp(self):
        self.site = self.enterContext(Site())
        self.service = self.enterContext(Service(CORS_ORIGINS=f"https://shop.example,{self.site.origin}"))

    def visit(self, site, function):
        """Returns the result of a function of the page, and the browser's log."""
        return self.run_script("visit.mjs", site.origin, function, f"http://{self.service.address}", KEY)

    def run_script(self, *command):
        done = subprocess.run(
            ["node", *command], cwd=BROWSER, check=True, text=True, timeout=120, stdout=subprocess.PIPE
        )
        printed = json.loads(done.stdout)
        return printed["seen"], printed["log"]

    def test_the_api_is_tried_out_on_its_own_page_with_a_pasted_key(self):
        url = f"http://{self.service.address}"
        seen, log = self.run_script("docs.mjs", url, KEY)
        self.assertEqual((seen["operations"], seen["created"]["status"], seen["listed"]["status"]), (10, "201", "200"))
        created, listed = json.loads(seen["created"]["body"]), json.loads(seen["listed"]["body"])
        self.assertEqual(created["customer_group_name"], "customer_group_name_example")
        self.assertEqual(listed, {"data": [created], "has_more": False, "total": 1})
        self.assertEqual((seen["origins"], log), ([url], []))

    def test_a_page_takes_the_tour(self):
        seen, log = self.visit(self.site, "tour")
        root, created = seen["root"], seen["created"]
        self.assertEqual((created["customer_group_name"], created["payment_terms"]), ("Wholesale ✓", "Net 30"))
        self.assertEqual(seen["got"], created)
        self.assertEqual(seen["page"], {"data": [created], "hasMore": True, "total": 2})
        updated, moved = seen["updated"], seen["moved"]
        self.assertEqual(updated["default_price_list"], "Export")
        self.assertNotIn("payment_terms", updated)
        version = {name: moved[name] for name in ["updated_at", "etag"]}
        self.assertEqual(moved, {**updated, **version, "parent_id": root["id"]})
        self.assertEqual((seen["children"], seen["streamed"]), ([moved], [moved]))
        self.assertEqual(seen["deleted"], {"id": created["id"], "deleted": True})
        self.assertEqual(seen["gone"]["code"], "NotFound")
        self.assertEqual(log, [])

    def test_a_page_sees_why_it_was_refused(self):
        seen, _ = self.visit(self.site, "tour")
        for name, code, reason, fields in [
            ("missing", "NotFound", "RESOURCE_MISSING", []),
            ("invalid", "InvalidArgument", "PARAMETER_INVALID", ["parent_id", "customer_group_name", "payment_terms"]),
            ("cycle", "InvalidArgument", "PARENT_CYCLE", ["parent_id"]),
            ("parent", "FailedPrecondition", "HAS_CHILDREN", []),
            ("stale", "Aborted", "ETAG_MISMATCH", []),
            ("unauthorized", "Unauthenticated", "API_KEY_INVALID", []),
        ]:
            with self.subTest(name):
                refused = seen["refused"][name]
                self.assertEqual((refused["code"], refused["reasons"], refused["fields"]), (code, [reason], fields))
                self.assertTrue(refused["message"])
                self.assertRegex(refused["requestId"], "^req_")

    def test_a_page_may_read_what_rest_says_in_headers(self):
        seen, _ = self.visit(self.site, "rest")
        for name, status, readable in [
            ("created", 201, ["ETag", "Location", "X-Request-Id"]),
            ("got", 200, ["ETag", "X-Request-Id"]),
            ("stale", 412, ["X-Request-Id"]),
            ("deleted", 200, ["X-Request-Id"]),
            ("gone", 404, ["X-Request-Id"]),
        ]:
            with self.subTest(name):
                self.assertEqual((seen[name]["status"], seen[name]["readable"]), (status, readable))
        self.assertEqual(seen["got"]["body"], seen["created"]["body"])
        self.assertEqual(seen["stale"]["body"]["error"]["code"], "etag_mismatch")

    def test_a_page_of_an_origin_that_is_not_configured_is_blocked(self):
        with Site() as other:
            seen, log = self.visit(other, "blocked")
        self.assertEqual(seen["grpcWeb"]["reasons"], [])
        self.assertEqual((seen["rest"], seen["simple"]), ("TypeError", "TypeError"))
        blocked = [line for line in log if "has been blocked by CORS policy" in line]
        self.assertEqual(len(blocked), 3, log)
        # The total shows that the blocked create did not reach the service.
        seen, _ = self.visit(self.site, "tour")
        self.assertEqual(seen["page"]["total"], 2)


if __name__ == "__main__":
    unittest.main()
