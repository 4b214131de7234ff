"""All RPCs with grpcio, using server reflection instead of generated code."""

import unittest

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from service import KEY, Service

PACKAGE = "overplane.setup.v1"
SERVICE = f"{PACKAGE}.CustomerGroupService"


class Client:
    """Calls methods by name. Takes plain values and returns messages."""

    def __init__(self, channel, key):
        self.channel = channel
        self.metadata = [("authorization", f"Bearer {key}")]
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self.service = self.pool.FindServiceByName(SERVICE)

    def call(self, method, timeout=30, **fields):
        """Returns the response, or an iterator for a streaming method."""
        descriptor = self.service.FindMethodByName(method)
        request, answer = GetMessageClass(descriptor.input_type), GetMessageClass(descriptor.output_type)
        of_kind = self.channel.unary_stream if descriptor.server_streaming else self.channel.unary_unary
        rpc = of_kind(
            f"/{SERVICE}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return rpc(request(**fields), timeout=timeout, metadata=self.metadata)

    def details(self, error):
        """Returns the `google.rpc` details of an error by type name."""
        trailers = dict(error.trailing_metadata())
        status = GetMessageClass(self.pool.FindMessageTypeByName("google.rpc.Status"))
        found = {}
        for detail in status.FromString(trailers["grpc-status-details-bin"]).details:
            name = detail.type_url.rsplit("/", 1)[1]
            found[name] = GetMessageClass(self.pool.FindMessageTypeByName(name)).FromString(detail.value)
        return found


class Tour(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())
        self.channel = self.enterContext(grpc.insecure_channel(self.service.address))
        self.client = Client(self.channel, KEY)

    def refused(self, code, reason, method, **fields):
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.call(method, **fields)
        self.assertEqual(raised.exception.code(), code)
        details = self.client.details(raised.exception)
        self.assertEqual(details["google.rpc.ErrorInfo"].reason, reason)
        self.assertEqual(details["google.rpc.ErrorInfo"].domain, "overplane.dev")
        return details

    def test_every_method(self):
        call = self.client.call
        root = call("CreateCustomerGroup", customer_group={"customer_group_name": "All customers", "is_group": True})
        child = call(
            "CreateCustomerGroup",
            customer_group={"customer_group_name": "Wholesale", "parent_id": root.id, "payment_terms": "Net 30"},
        )
        self.assertEqual(call("GetCustomerGroup", id=child.id), child)
        self.assertFalse(root.HasField("parent_id"))

        page = call("ListCustomerGroups", limit=1)
        self.assertEqual((list(page.data), page.has_more, page.total), ([child], True, 2))
        for method, of, expected in [
            ("ListCustomerGroupChildren", root, child),
            ("ListCustomerGroupDescendants", root, child),
            ("ListCustomerGroupAncestors", child, root),
        ]:
            answer = call(method, id=of.id)
            self.assertEqual((list(answer.data), answer.has_more, answer.total), ([expected], False, 1), method)

        updated = call(
            "UpdateCustomerGroup",
            customer_group={"id": child.id, "default_price_list": "Wholesale prices"},
            update_mask={"paths": ["default_price_list", "payment_terms"]},
        )
        self.assertEqual(updated.default_price_list, "Wholesale prices")
        self.assertFalse(updated.HasField("payment_terms"))
        self.assertGreater(updated.updated_at.ToNanoseconds(), child.updated_at.ToNanoseconds())

        self.refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            "PARENT_CYCLE",
            "UpdateCustomerGroup",
            customer_group={"id": root.id, "parent_id": child.id},
        )
        self.refused(grpc.StatusCode.FAILED_PRECONDITION, "HAS_CHILDREN", "DeleteCustomerGroup", id=root.id)
        self.assertTrue(call("DeleteCustomerGroup", id=child.id).deleted)
        self.refused(grpc.StatusCode.NOT_FOUND, "RESOURCE_MISSING", "DeleteCustomerGroup", id=child.id)

    def test_lists_go_on_after_any_group_and_the_stream_has_what_they_have(self):
        call = self.client.call
        entries = [{"customer_group": {"customer_group_name": "0"}, "reference": "0"}]
        for number in range(1, 300):
            entry = {"customer_group": {"customer_group_name": str(number)}, "reference": str(number)}
            entries.append({**entry, "parent_reference": str((number - 1) // 3)})
        created = list(call("BatchCreateCustomerGroups", requests=entries).data)
        root, lists = created[0].id, {"ListCustomerGroups": {}}
        for method in ["ListCustomerGroupChildren", "ListCustomerGroupDescendants"]:
            lists[method] = {"id": root}
        lists["ListCustomerGroupAncestors"] = {"id": created[-1].id}
        read = {}
        for method, of in lists.items():
            page = call(method, limit=7, **of)
            found = list(page.data)
            while page.has_more:
                page = call(method, limit=7, starting_after=found[-1].id, **of)
                found += page.data
            self.assertEqual(found, list(call(method, limit=1000, **of).data), method)
            self.assertEqual(len(found), page.total, method)
            read[method] = found

        stream = "StreamCustomerGroupDescendants"
        descendants = read["ListCustomerGroupDescendants"]
        self.assertEqual(len(descendants), 299)
        self.assertEqual(list(call(stream, id=root)), descendants)
        self.assertEqual(list(call(stream, id=root, limit=5, starting_after=descendants[9].id)), descendants[10:15])
        for code, reason, fields in [
            (grpc.StatusCode.NOT_FOUND, "RESOURCE_MISSING", {"id": "nobody"}),
            (grpc.StatusCode.INVALID_ARGUMENT, "PARAMETER_INVALID", {"id": root, "starting_after": root}),
        ]:
            with self.assertRaises(grpc.RpcError) as raised:
                next(call(stream, **fields))
            self.assertEqual(raised.exception.code(), code)
            self.assertEqual(self.client.details(raised.exception)["google.rpc.ErrorInfo"].reason, reason)

    def test_batches(self):
        call = self.client.call
        entries = [
            {"customer_group": {"customer_group_name": "Export"}, "parent_reference": "all"},
            {"customer_group": {"customer_group_name": "All customers", "is_group": True}, "reference": "all"},
        ]
        export, all_customers = call("BatchCreateCustomerGroups", requests=entries).data
        self.assertEqual(export.parent_id, all_customers.id)
        ids = [all_customers.id, export.id, all_customers.id]
        self.assertEqual(list(call("BatchGetCustomerGroups", ids=ids).data), [all_customers, export, all_customers])

    def test_the_errors_of_large_batches_are_not_too_long(self):
        there = self.client.call("CreateCustomerGroup", customer_group={"customer_group_name": "there"}).id
        for text in ["nobody", "\1" * 99, "\u2003" * 99]:
            # Every third id exists, which makes the message as long as possible.
            ids = [there if number % 3 == 0 else f"{text} {number}" for number in range(1000)]
            self.refused(grpc.StatusCode.NOT_FOUND, "RESOURCE_MISSING", "BatchGetCustomerGroups", ids=ids)
        for reason, fields in [
            ("PARAMETER_MISSING", {}),
            ("PARAMETER_INVALID", {"payment_terms": "\0"}),
            ("PARENT_NOT_FOUND", {"customer_group_name": "x", "parent_id": "\1" * 99}),
        ]:
            requests = [{"customer_group": fields}] * 1000
            code = grpc.StatusCode.INVALID_ARGUMENT
            details = self.refused(code, reason, "BatchCreateCustomerGroups", requests=requests)
            self.assertGreater(len(details["google.rpc.BadRequest"].field_violations), 2)

    def test_every_violated_field_is_listed(self):
        details = self.refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            "PARAMETER_INVALID",
            "CreateCustomerGroup",
            customer_group={"parent_id": "nobody", "payment_terms": "\0"},
        )
        violations = details["google.rpc.BadRequest"].field_violations
        self.assertEqual([v.field for v in violations], ["parent_id", "customer_group_name", "payment_terms"])

    def test_a_wrong_key_is_refused(self):
        self.client.metadata = [("authorization", "Bearer sk_test_that_nobody_ever_made")]
        self.refused(grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID", "ListCustomerGroups")

    def test_the_descriptors_carry_the_documentation_s_names(self):
        messages = self.client.pool.FindFileContainingSymbol(SERVICE).message_types_by_name
        fields = messages["CustomerGroup"].fields
        self.assertEqual([f.name for f in fields], [f.json_name for f in fields])


if __name__ == "__main__":
    unittest.main()
