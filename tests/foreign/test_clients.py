"""Clients that are generated from the description of the REST API, and linters of the description."""

import json
import os
import subprocess
import sys
import unittest

from service import INSTALLED, KEY, Service

CLIENTS = INSTALLED / "clients"
sys.path[:0] = [str(CLIENTS / "gen"), str(CLIENTS / "gen" / "python")]


def openapi_python_client(address):
    """Returns what a tour with the client of openapi-python-client sees, as the service sends it."""
    from openapi_python_client import AuthenticatedClient, models
    from openapi_python_client.api.customer_groups import (
        create_customer_group,
        delete_customer_group,
        get_customer_group,
        list_customer_groups,
        update_customer_group,
    )

    with AuthenticatedClient(base_url=address, token=KEY) as client:
        new = models.NewCustomerGroup(customer_group_name="Export", payment_terms="Net 30")
        created = create_customer_group.sync(client=client, body=new)
        got = get_customer_group.sync(created.id, client=client)
        listed = list_customer_groups.sync(client=client, parent_id="null")
        changes = models.CustomerGroupChanges(payment_terms=None)
        cleared = update_customer_group.sync(created.id, client=client, body=changes)
        deleted = delete_customer_group.sync(created.id, client=client)
        missing = get_customer_group.sync(created.id, client=client)
    seen = {"created": created, "got": got, "listed": listed, "cleared": cleared, "deleted": deleted}
    return {**{name: model.to_dict() for name, model in seen.items()}, "code": missing.error.code}


def openapi_generator(address):
    """The same with the Python client of OpenAPI Generator."""
    from openapi_generator import ApiClient, Configuration, CustomerGroupChanges, CustomerGroupsApi, NewCustomerGroup
    from openapi_generator.exceptions import NotFoundException

    with ApiClient(Configuration(host=address, access_token=KEY)) as connection:
        client = CustomerGroupsApi(connection)
        created = client.create_customer_group(
            NewCustomerGroup(customer_group_name="Export", payment_terms="Net 30")
        )
        got = client.get_customer_group(created.id)
        listed = client.list_customer_groups(parent_id="null")
        cleared = client.update_customer_group(created.id, CustomerGroupChanges(payment_terms=None))
        deleted = client.delete_customer_group(created.id)
        try:
            client.get_customer_group(created.id)
        except NotFoundException as missing:
            code = missing.data.error.code
    seen = {"created": created, "got": got, "listed": listed, "cleared": cleared, "deleted": deleted}
    return {**{name: model.to_dict() for name, model in seen.items()}, "code": code}


def in_typescript(tour):
    """A tour in TypeScript."""

    def run(address):
        environment = {"PATH": os.environ["PATH"], "ADDRESS": address, "API_KEY": KEY}
        command = ["node", CLIENTS / "build" / f"{tour}.js"]
        done = subprocess.run(command, env=environment, text=True, timeout=120, check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    return run


class GeneratedClients(unittest.TestCase):
    def test_each_client_creates_gets_lists_clears_a_field_and_deletes(self):
        for name, tour in [
            ("openapi-python-client", openapi_python_client),
            ("OpenAPI Generator for Python", openapi_generator),
            ("openapi-typescript and openapi-fetch", in_typescript("openapi_fetch")),
            ("orval", in_typescript("orval")),
            ("OpenAPI Generator for TypeScript", in_typescript("openapi_generator")),
        ]:
            with self.subTest(name), Service() as service:
                seen = tour(f"http://{service.address}")
                created, cleared = seen["created"], seen["cleared"]
                fields = ["customer_group_name", "is_group", "parent_id", "payment_terms"]
                self.assertEqual([created[field] for field in fields], ["Export", False, None, "Net 30"])
                self.assertEqual(seen["got"], created)
                self.assertEqual(seen["listed"], {"data": [created], "has_more": False, "total": 1})
                changed = {"payment_terms": None, "updated_at": cleared["updated_at"]}
                self.assertEqual(cleared, {**created, **changed})
                self.assertEqual(seen["deleted"], {"id": created["id"], "deleted": True})
                self.assertEqual(seen["code"], "resource_missing")


class Linters(unittest.TestCase):
    def lint(self, *command):
        settings = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        done = subprocess.run(
            ["npx", *command], cwd=CLIENTS, env={**os.environ, **settings}, text=True, timeout=120, capture_output=True
        )
        return done.returncode, json.loads(done.stdout)

    def test_redocly_finds_no_error_and_no_warning(self):
        code, found = self.lint("redocly", "lint", "openapi.json", "--format=json")
        self.assertEqual((code, found["problems"]), (0, []))

    def test_spectral_finds_no_error_and_no_warning(self):
        code, found = self.lint("spectral", "lint", "openapi.json", "--format=json", "--quiet")
        self.assertEqual((code, found), (0, []))


if __name__ == "__main__":
    unittest.main()
