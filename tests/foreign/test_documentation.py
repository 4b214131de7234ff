"""The curl lines of the REST documentation, with host and key changed, get the documented answers."""

import json
import subprocess
import unittest

from service import KEY, Service

HOST = "https://api.overplane.dev"
ID = "customer-group_abc123"
FIELDS = [
    "id",
    "created_at",
    "updated_at",
    "parent_id",
    "is_group",
    "customer_group_name",
    "parent_customer_group",
    "default_price_list",
    "payment_terms",
]

# Each line as it is documented; the order is the test's.
CREATE = """
curl https://api.overplane.dev/api/setup/customer-group \\
  -H "Authorization: Bearer sk_test_..." \\
  -X POST \\
  -H "Content-Type: application/json" \\
  -d '{"customer_group_name":"customer_group_name_example"}'
"""
RETRIEVE = """
curl https://api.overplane.dev/api/setup/customer-group/customer-group_abc123 \\
  -H "Authorization: Bearer sk_test_..."
"""
LIST = """
curl https://api.overplane.dev/api/setup/customer-group \\
  -H "Authorization: Bearer sk_test_..."
"""
UPDATE = """
curl https://api.overplane.dev/api/setup/customer-group/customer-group_abc123 \\
  -H "Authorization: Bearer sk_test_..." \\
  -X PATCH \\
  -H "Content-Type: application/json" \\
  -d '{"parent_id":null,"is_group":false}'
"""
DELETE = """
curl https://api.overplane.dev/api/setup/customer-group/customer-group_abc123 \\
  -H "Authorization: Bearer sk_test_..." \\
  -X DELETE
"""
CHILDREN = """
curl https://api.overplane.dev/api/setup/customer-group/customer-group_abc123/children \\
  -H "Authorization: Bearer sk_test_..."
"""
ANCESTORS = """
curl https://api.overplane.dev/api/setup/customer-group/customer-group_abc123/ancestors \\
  -H "Authorization: Bearer sk_test_..."
"""
DESCENDANTS = """
curl https://api.overplane.dev/api/setup/customer-group/customer-group_abc123/descendants \\
  -H "Authorization: Bearer sk_test_..."
"""


class Documentation(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())

    def paste(self, line, group_id=ID):
        """The status and the body that a line gets."""
        line = line.strip().replace(HOST, f"http://{self.service.address}").replace(ID, group_id)
        line = line.replace("sk_test_...", KEY).replace("curl ", "curl --silent --write-out '\\n%{http_code}' ", 1)
        printed = subprocess.run(line, shell=True, check=True, text=True, stdout=subprocess.PIPE).stdout
        body, status = printed.rsplit("\n", 1)
        return int(status), json.loads(body)

    def test_every_line(self):
        status, created = self.paste(CREATE)
        self.assertEqual(status, 201)
        self.assertEqual(list(created), FIELDS)
        self.assertEqual(created["customer_group_name"], "customer_group_name_example")
        group_id = created["id"]

        self.assertEqual(self.paste(RETRIEVE, group_id), (200, created))
        self.assertEqual(self.paste(LIST), (200, {"data": [created], "has_more": False, "total": 1}))
        status, updated = self.paste(UPDATE, group_id)
        self.assertEqual((status, list(updated)), (200, FIELDS))
        self.assertEqual({**updated, "updated_at": None}, {**created, "updated_at": None})
        for line in [CHILDREN, ANCESTORS, DESCENDANTS]:
            self.assertEqual(self.paste(line, group_id), (200, {"data": [], "has_more": False, "total": 0}))
        self.assertEqual(self.paste(DELETE, group_id), (200, {"id": group_id, "deleted": True}))

    def test_the_documented_example_id_is_no_group(self):
        for line in [RETRIEVE, UPDATE, DELETE, CHILDREN, ANCESTORS, DESCENDANTS]:
            status, body = self.paste(line)
            self.assertEqual((status, body["error"]["code"]), (404, "resource_missing"))


if __name__ == "__main__":
    unittest.main()
