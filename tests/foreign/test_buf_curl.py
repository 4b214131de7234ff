"""`buf curl` over gRPC and gRPC-Web."""

import base64
import json
import subprocess
import unittest

from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from service import BIN, INSTALLED, KEY, Service

SERVICE = "overplane.setup.v1.CustomerGroupService"
HTTP2 = "--http2-prior-knowledge"
# Reflection requires HTTP/2. With a schema, gRPC-Web works over HTTP/1.1.
WAYS = [
    ["--protocol", "grpc", HTTP2],
    ["--protocol", "grpcweb", HTTP2],
    ["--protocol", "grpcweb", "--schema", INSTALLED / "api.binpb"],
]


class BufCurl(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())

    def call(self, way, method, fields):
        """Returns the response or the error, decoded from JSON."""
        return json.loads(self.said(way, method, fields))

    def said(self, way, method, fields):
        url = f"http://{self.service.address}/{SERVICE}/{method}"
        header = f"Authorization: Bearer {KEY}"
        command = [BIN / "buf", "curl", *way, "--header", header, "--data", json.dumps(fields), url]
        done = subprocess.run(command, text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stderr if done.returncode else done.stdout

    def test_every_way_leads_to_the_same_group(self):
        created = self.call(WAYS[0], "CreateCustomerGroup", {"customer_group": {"customer_group_name": "x"}})
        for way in WAYS:
            with self.subTest(way):
                self.assertEqual(self.call(way, "GetCustomerGroup", {"id": created["id"]}), created)
                listed = self.call(way, "ListCustomerGroups", {"limit": 1})
                self.assertEqual(listed, {"data": [created], "total": 1})

    def test_every_way_streams_the_same_groups(self):
        root = self.call(WAYS[0], "CreateCustomerGroup", {"customer_group": {"customer_group_name": "root"}})
        for name in ["older", "younger"]:
            fields = {"customer_group_name": name, "parent_id": root["id"]}
            self.call(WAYS[0], "CreateCustomerGroup", {"customer_group": fields})
        for way in WAYS:
            with self.subTest(way):
                listed = self.call(way, "ListCustomerGroupDescendants", {"id": root["id"]})["data"]
                self.assertEqual([group["customer_group_name"] for group in listed], ["younger", "older"])
                streamed = self.said(way, "StreamCustomerGroupDescendants", {"id": root["id"]})
                # The output is a sequence of JSON objects.
                self.assertEqual(json.loads("[" + streamed.replace("}\n{", "},{") + "]"), listed)
                refused = self.call(way, "StreamCustomerGroupDescendants", {"id": "nobody"})
                self.assertEqual(refused["code"], "not_found")

    def test_every_way_tells_why_a_call_was_refused(self):
        for way in WAYS:
            with self.subTest(way):
                refused = self.call(way, "CreateCustomerGroup", {"customer_group": {"parent_id": "nobody"}})
                self.assertEqual(refused["code"], "invalid_argument")
                self.assertIn("customer_group_name is required", refused["message"])
                values = {detail["type"]: decoded(detail["value"]) for detail in refused["details"]}
                info = ErrorInfo.FromString(values["google.rpc.ErrorInfo"])
                self.assertEqual((info.reason, info.domain), ("PARAMETER_INVALID", "overplane.dev"))
                violations = BadRequest.FromString(values["google.rpc.BadRequest"]).field_violations
                self.assertEqual([v.field for v in violations], ["parent_id", "customer_group_name"])


def decoded(value):
    """Decodes base64 without padding."""
    return base64.b64decode(value + "=" * (-len(value) % 4))


if __name__ == "__main__":
    unittest.main()
