"""Envoy transcodes REST to the gRPC port by the `google.api.http` rules, and responds as the service's own REST API.

`DIFFERENCES` and `HEADERS` list the exceptions."""

import http.client
import json
import tempfile
import unittest
import urllib.request
from contextlib import closing
from datetime import datetime
from pathlib import Path
from string import Template
from typing import NamedTuple

from service import BIN, FOREIGN, INSTALLED, KEY, Program, Service

COLLECTION = "/api/setup/customer-group"

# The tree: `{root}` has the children `{branch}` and `{leaf}`; `{branch}` has the child `{twig}`.
READS = [
    "",
    "/",
    "?limit=2",
    "?offset=1",
    "?limit=1&offset=1",
    "?limit=0",
    "?limit=2000",
    "?offset=99",
    "/{root}",
    "/{twig}",
    "/{root}/children",
    "/{root}/children?limit=1",
    "/{root}/children?limit=0&offset=1",
    "/{twig}/children",
    "/{twig}/ancestors",
    "/{twig}/ancestors?offset=1",
    "/{root}/ancestors",
    "/{root}/descendants",
    "/{root}/descendants?limit=1&offset=1",
    "?starting_after={leaf}",
    "?limit=1&starting_after={twig}",
    "/{root}/children?starting_after={leaf}",
    "/{twig}/ancestors?starting_after={branch}",
    "/{root}/descendants?limit=1&offset=1&starting_after={leaf}",
]

# Request bodies of batch creates (BATCHES) and batch gets (IDS).
BATCHES = [
    {"requests": [{"customer_group": {"customer_group_name": " Export "}}]},
    {
        "requests": [
            {"customer_group": {"customer_group_name": "below"}, "parent_reference": "above"},
            {
                "customer_group": {"customer_group_name": "above", "parent_id": "{root}", "is_group": True},
                "reference": "above",
            },
        ]
    },
]
IDS = [{"ids": ["{twig}"]}, {"ids": ["{leaf}", "{root}", "{leaf}"]}]

# Query and body of a PATCH. Only Envoy needs the query: it derives no mask from the body, and without a mask, null, false and
# empty values are the same as absent ones.
UPDATES = [
    ("", {}),
    ("", {"customer_group_name": " Export ", "payment_terms": ""}),
    ("", {"is_group": True, "default_price_list": "Net", "parent_customer_group": "elsewhere"}),
    ("", {"payment_terms": "Net 60", "default_price_list": None}),
    ("?update_mask=parent_id,is_group", {"parent_id": None, "is_group": False}),
    ("?update_mask=payment_terms", {"payment_terms": None}),
    ("?update_mask.paths=payment_terms&update_mask.paths=is_group", {"payment_terms": None, "is_group": False}),
    (
        "?update_mask=*",
        {
            "parent_id": None,
            "is_group": False,
            "customer_group_name": "Everything else cleared",
            "parent_customer_group": None,
            "default_price_list": None,
            "payment_terms": None,
        },
    ),
]

# REST applies these updates; Envoy without a mask ignores them.
UNSAID_WITHOUT_A_MASK = [{"payment_terms": None}, {"parent_id": None}, {"is_group": False}]


class Request(NamedTuple):
    method: str
    path: str
    body: object = None
    headers: dict = {}


# Both sides return the same status, message and code.
ERRORS = [
    (404, Request("GET", "/customer-group_abc123")),
    (404, Request("GET", "/a%2Fb/children")),
    (404, Request("PATCH", "/customer-group_abc123", {"payment_terms": "Net"})),
    (404, Request("DELETE", "/customer-group_abc123")),
    (400, Request("GET", "?limit=-1")),
    (400, Request("GET", "/{root}/descendants?limit=-1&offset=-1")),
    (400, Request("GET", "?starting_after=nobody")),
    (400, Request("GET", "/{root}/descendants?limit=-1&starting_after=")),
    (400, Request("GET", "/{twig}/ancestors?starting_after={leaf}")),
    (404, Request("GET", "/customer-group_abc123/children?starting_after={leaf}")),
    (400, Request("POST", "", {})),
    (400, Request("POST", "", {"customer_group_name": " ", "parent_id": "nobody", "payment_terms": "\0"})),
    (400, Request("PATCH", "/{root}", {"parent_id": "{twig}"})),
    (400, Request("PATCH", "/{root}", {"payment_terms": "x" * 256})),
    (400, Request("POST", ":batchCreate", {})),
    (400, Request("POST", ":batchCreate", {"requests": [{"customer_group": {"customer_group_name": " "}}]})),
    (
        400,
        Request(
            "POST",
            ":batchCreate",
            {
                "requests": [
                    {"customer_group": {"customer_group_name": "x", "parent_id": "nobody"}, "reference": "x"},
                    {"customer_group": {"payment_terms": "\0"}, "reference": "x"},
                    {"customer_group": {"customer_group_name": "y"}, "parent_reference": "nothing"},
                ]
            },
        ),
    ),
    (400, Request("POST", ":batchGet", {})),
    (404, Request("POST", ":batchGet", {"ids": ["{leaf}", "nobody", "{root}", ""]})),
    (401, Request("POST", ":batchGet", {"ids": ["{leaf}"]}, {"Authorization": ""})),
    (403, Request("POST", ":batchCreate", {}, {"Authorization": "Bearer {reader}"})),
    (401, Request("GET", "", headers={"Authorization": ""})),
    (401, Request("GET", "", headers={"Authorization": "Bearer sk_test_that_nobody_ever_made"})),
    (403, Request("DELETE", "/{leaf}", headers={"Authorization": "Bearer {reader}"})),
]

# Envoy rejects these itself. Both sides return 400: the service with a JSON error, Envoy with plain text.
REFUSED_BY_ENVOY = [
    Request("GET", "?limit=ten"),
    Request("GET", "?limit=1&limit=2"),
    Request("GET", "?nothing=1"),
    Request("POST", "", "{"),
    Request("POST", "", "[]"),
    Request("POST", "", {"customer_group_name": 1}),
    Request("POST", "", {"customer_group_name": "x", "is_group": "perhaps"}),
    Request("POST", "", '{"customer_group_name": "x", "payment_terms": "a", "payment_terms": "b"}'),
    Request("POST", ":batchCreate", {"requests": [{"customer_group": 1}]}),
    Request("POST", ":batchGet", {"ids": [1]}),
    Request("POST", ":batchGet", "{"),
]


class Difference(NamedTuple):
    request: Request
    rest: int
    envoy: int
    why: str


ONE_OF_A_COLOUR = {"requests": [{"customer_group": {"customer_group_name": "x", "colour": "red"}}]}
STALE = {"If-Match": '"1"'}
DIFFERENCES = [
    Difference(Request("POST", "", {"customer_group_name": "x"}), 201, 200, "every success is 200"),
    Difference(Request("GET", "/{leaf}", headers={"If-None-Match": "*"}), 304, 200, "a gRPC call has no conditions"),
    Difference(Request("PATCH", "/{leaf}", {}, STALE), 412, 200, "If-Match is not read; the parameter etag is"),
    Difference(Request("DELETE", "/{root}"), 409, 400, "FAILED_PRECONDITION is 400"),
    Difference(Request("POST", "", {"payment_terms": "x" * 4 * 1024 * 1024}), 413, 429, "RESOURCE_EXHAUSTED is 429"),
    Difference(Request("POST", "", "x=1", {"Content-Type": "text/plain"}), 415, 400, "every body is read as JSON"),
    Difference(Request("PUT", "/{leaf}", {}), 405, 404, "no rule has this method for any path"),
    Difference(Request("HEAD", "/{leaf}"), 200, 404, "no rule has this method"),
    Difference(Request("OPTIONS", "/{leaf}"), 204, 404, "no rule has this method"),
    Difference(Request("GET", "?limit=3000000000"), 200, 400, "it is no int32, so it cannot be lowered to 1000"),
    Difference(Request("GET", "/{leaf}/children/"), 404, 200, "a slash at the end of any path is taken off"),
    Difference(Request("PATCH", "/{leaf}", {"nothing": 1}), 400, 200, "unknown fields are left out"),
    Difference(Request("GET", ":batchGet"), 405, 404, "no rule has this method for the path"),
    Difference(Request("POST", ":batchCreate", ONE_OF_A_COLOUR), 400, 200, "unknown fields are left out"),
    Difference(Request("PATCH", "/{leaf}", ""), 400, 200, "no body is an empty message"),
    Difference(Request("PATCH", "/{leaf}", {"customer_group_name": None}), 400, 200, "null is unset"),
    Difference(Request("PATCH", "/{leaf}", {"id": "another"}), 200, 400, "an id in the body may be no other"),
]

# Headers that REST sends and Envoy does not, because Envoy only forwards gRPC metadata.
HEADERS = [
    (Request("GET", "/{leaf}"), "ETag"),
    (Request("POST", "", {"customer_group_name": "x"}), "Location"),
    (Request("GET", "", headers={"Authorization": ""}), "WWW-Authenticate"),
    (Request("PUT", "/{leaf}", {}), "Allow"),
]


class Envoy:
    def __init__(self, upstream):
        self.upstream = upstream

    def __enter__(self):
        host, port = self.upstream.split(":")
        config = Template((FOREIGN / "envoy.yaml").read_text())
        config = config.substitute(descriptors=INSTALLED / "api.binpb", host=host, port=port)
        with tempfile.TemporaryDirectory(prefix="envoy-test-") as folder:
            admin = Path(folder, "admin")
            command = [BIN / "envoy", "--config-yaml", config, "--admin-address-path", admin]
            # Hot restart uses a machine-wide id, which conflicts with other Envoy processes.
            self.program = Program([*command, "--disable-hot-restart"], "starting workers")
            with urllib.request.urlopen(f"http://{admin.read_text()}/listeners?format=json") as answer:
                listener = json.load(answer)["listener_statuses"][0]["local_address"]["socket_address"]
        self.address = f"{listener['address']}:{listener['port_value']}"
        return self

    def __exit__(self, *_):
        self.program.stop()


class Transcoder(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())
        self.envoy = self.enterContext(Envoy(self.service.address))
        self.names = {"reader": self.service.read_only_key()}
        for name, parent in [("root", None), ("branch", "root"), ("leaf", "root"), ("twig", "branch")]:
            self.names[name] = self.create(name, self.names.get(parent))["id"]

    def create(self, name, parent_id=None):
        fields = {"customer_group_name": name, "parent_id": parent_id, "is_group": True, "payment_terms": "Net 30"}
        status, _, body = self.send(self.service, Request("POST", "", fields))
        self.assertEqual(status, 201)
        return json.loads(body)

    def send(self, to, request):
        """Sends a request, with names replaced by ids, and returns status, headers and body."""
        method, path, body, headers = request
        body = json.dumps(body) if isinstance(body, dict) else body
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers}
        headers = {name: self.filled(value) for name, value in headers.items()}
        with closing(http.client.HTTPConnection(to.address, timeout=30)) as connection:
            connection.request(method, COLLECTION + self.filled(path), body and self.filled(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def filled(self, text):
        for name, value in self.names.items():
            text = text.replace("{" + name + "}", value)
        return text

    def get(self, to, path):
        status, _, body = self.send(to, Request("GET", path))
        self.assertEqual(status, 200)
        return json.loads(body)

    def test_every_read_answers_the_same(self):
        for path in READS:
            with self.subTest(path):
                rest, envoy = self.get(self.service, path), self.get(self.envoy, path)
                if "data" in rest:
                    rest["data"] = [from_rest(group) for group in rest["data"]]
                    envoy["data"] = [from_envoy(group) for group in envoy["data"]]
                else:
                    rest, envoy = from_rest(rest), from_envoy(envoy)
                self.assertEqual(envoy, rest)

    def test_the_etag_is_that_of_the_header(self):
        _, headers, _ = self.send(self.service, Request("GET", "/{leaf}"))
        self.assertEqual(self.get(self.envoy, "/{leaf}")["etag"], headers["ETag"])

    def test_a_group_that_was_created_is_what_rest_reads(self):
        for fields in [{"customer_group_name": "x"}, {"customer_group_name": " y ", "parent_id": "{root}"}]:
            _, _, body = self.send(self.envoy, Request("POST", "", fields))
            created = json.loads(body)
            self.assertEqual(created["customer_group_name"], fields["customer_group_name"].strip())
            self.assertEqual(from_envoy(created), from_rest(self.get(self.service, f"/{created['id']}")))

    def test_every_update_does_the_same(self):
        for query, body in UPDATES:
            with self.subTest(query, body=body):
                one, other = self.create("one", self.names["root"]), self.create("other", self.names["root"])
                status, _, updated = self.send(self.envoy, Request("PATCH", f"/{one['id']}{query}", body))
                self.assertEqual(status, 200)
                self.assertEqual(from_envoy(json.loads(updated)), from_rest(self.get(self.service, f"/{one['id']}")))
                status, _, expected = self.send(self.service, Request("PATCH", f"/{other['id']}", body))
                self.assertEqual(status, 200)
                self.assertEqual(self.changes(one), self.changes(other))

    def changes(self, before):
        """Returns the fields that changed, except `updated_at`."""
        after = self.get(self.service, f"/{before['id']}")
        return {name: after[name] for name in after if after[name] != before[name] and name != "updated_at"}

    def test_what_a_mask_must_say_is_not_said_without_one(self):
        for body in UNSAID_WITHOUT_A_MASK:
            with self.subTest(body=body):
                group = self.create("one", self.names["root"])
                request = Request("PATCH", f"/{group['id']}", body)
                self.send(self.envoy, request)
                self.assertEqual(self.changes(group), {})
                self.send(self.service, request)
                self.assertEqual(self.changes(group), body)

    def test_what_rest_reads_can_be_sent_back(self):
        read = self.get(self.service, "/{leaf}")
        status, _, _ = self.send(self.envoy, Request("PATCH", "/{leaf}", read))
        self.assertEqual(status, 200)
        self.assertEqual(self.changes(read), {})

    def test_an_idempotency_key_counts_on_both_faces(self):
        request = Request("POST", "", {"customer_group_name": "once"}, {"Idempotency-Key": "the-same"})
        _, _, created = self.send(self.service, request)
        _, headers, repeated = self.send(self.envoy, request)
        self.assertEqual(from_envoy(json.loads(repeated)), from_rest(json.loads(created)))
        self.assertEqual(headers["Idempotent-Replayed"], "true")
        # Envoy maps FAILED_PRECONDITION to 400.
        for to, expected in [(self.service, 409), (self.envoy, 400)]:
            status, _, _ = self.send(to, request._replace(body={"customer_group_name": "another"}))
            self.assertEqual(status, expected)

    def test_a_batch_creates_the_same(self):
        for body in BATCHES:
            with self.subTest(body=body):
                parents = []
                for to, group_of in [(self.service, from_rest), (self.envoy, from_envoy)]:
                    status, _, answer = self.send(to, Request("POST", ":batchCreate", body))
                    self.assertEqual(status, 200)
                    created = [group_of(group) for group in json.loads(answer)["data"]]
                    ids = [group["id"] for group in created]
                    read = self.batch_get(self.service, {"ids": ids})
                    self.assertEqual(created, [from_rest(group) for group in read])
                    # Identify parents in the same batch by their position.
                    parents.append([ids.index(id) if id in ids else id for id in map(parent_of, created)])
                self.assertEqual(parents[0], parents[1])

    def test_an_idempotency_key_of_a_batch_counts_on_both_faces(self):
        request = Request("POST", ":batchCreate", BATCHES[1], {"Idempotency-Key": "the-same"})
        _, _, created = self.send(self.service, request)
        _, headers, repeated = self.send(self.envoy, request)
        groups = [from_envoy(group) for group in json.loads(repeated)["data"]]
        self.assertEqual(groups, [from_rest(group) for group in json.loads(created)["data"]])
        self.assertEqual(headers["Idempotent-Replayed"], "true")

    def test_a_batch_reads_the_same(self):
        for body in IDS:
            with self.subTest(body=body):
                rest = [from_rest(group) for group in self.batch_get(self.service, body)]
                self.assertEqual([from_envoy(group) for group in self.batch_get(self.envoy, body)], rest)
                self.assertEqual([group["id"] for group in rest], [self.filled(id) for id in body["ids"]])

    def batch_get(self, to, body):
        status, _, answer = self.send(to, Request("POST", ":batchGet", body))
        self.assertEqual(status, 200)
        return json.loads(answer)["data"]

    def test_a_delete_answers_the_same(self):
        for to, name in [(self.envoy, "twig"), (self.service, "branch")]:
            status, _, body = self.send(to, Request("DELETE", "/{" + name + "}"))
            self.assertEqual((status, json.loads(body)), (200, {"id": self.names[name], "deleted": True}))
            for face in [self.envoy, self.service]:
                self.assertEqual(self.send(face, Request("GET", "/{" + name + "}"))[0], 404)

    def test_a_stale_etag_is_412_in_a_header_and_409_in_a_parameter(self):
        for method, body in [("PATCH", {"payment_terms": "Net 60"}), ("DELETE", None)]:
            for to, path, headers, expected in [
                (self.service, "/{leaf}", STALE, 412),
                # Envoy maps ABORTED to 409.
                (self.envoy, "/{leaf}?etag=%221%22", {}, 409),
            ]:
                status, _, _ = self.send(to, Request(method, path, body, headers))
                self.assertEqual(status, expected)

    def test_every_error_has_the_same_status_message_and_code(self):
        for expected, request in ERRORS:
            with self.subTest(request=request):
                status, _, body = self.send(self.service, request)
                error = json.loads(body)["error"]
                self.assertEqual(status, expected)
                status, _, body = self.send(self.envoy, request)
                self.assertEqual(status, expected)
                converted = json.loads(body)
                self.assertEqual(converted["message"], error["message"])
                details = {detail["@type"].rsplit(".", 1)[1]: detail for detail in converted["details"]}
                self.assertEqual(details["ErrorInfo"]["reason"].lower(), error["code"])
                self.assertEqual("BadRequest" in details, expected == 400)

    def test_what_envoy_refuses_itself_has_the_same_status(self):
        for request in REFUSED_BY_ENVOY:
            with self.subTest(request=request):
                status, _, body = self.send(self.service, request)
                self.assertEqual((status, json.loads(body)["error"]["type"]), (400, "invalid_request_error"))
                status, headers, _ = self.send(self.envoy, request)
                self.assertEqual((status, headers["Content-Type"]), (400, "text/plain"))

    def test_every_difference_of_status_is_known(self):
        for request, rest, envoy, why in DIFFERENCES:
            with self.subTest(why, method=request.method, path=request.path):
                self.assertNotEqual(rest, envoy)
                self.assertEqual(self.send(self.service, request)[0], rest)
                self.assertEqual(self.send(self.envoy, request)[0], envoy)

    def test_every_missing_header_is_known(self):
        for request, header in HEADERS:
            with self.subTest(header):
                self.assertIn(header, self.send(self.service, request)[1])
                self.assertNotIn(header, self.send(self.envoy, request)[1])


def from_rest(group):
    """Converts a group from REST: drops the nulls, which proto3 JSON omits."""
    return {name: value for name, value in with_instants(group).items() if value is not None}


def parent_of(group):
    return group.get("parent_id")


def from_envoy(group):
    """Converts a group from Envoy: drops the etag, which REST sends in a header."""
    group = with_instants(group)
    del group["etag"]
    return group


def with_instants(group):
    instants = {name: datetime.fromisoformat(group[name]) for name in ["created_at", "updated_at"]}
    return {**group, **instants}


if __name__ == "__main__":
    unittest.main()
