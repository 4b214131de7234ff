"""A tour of the API with grpcio: `API_KEY=sk_test_… python examples/client.py`. Generate the stubs first:

    pip install grpcio grpcio-status grpcio-tools googleapis-common-protos
    python -m grpc_tools.protoc -I proto --python_out examples --grpc_python_out examples \\
        buf/validate/validate.proto overplane/setup/v1/customer_group.proto
"""

import json
import os
import sys
from urllib.parse import urlsplit

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from overplane.setup.v1 import customer_group_pb2 as pb
from overplane.setup.v1.customer_group_pb2_grpc import CustomerGroupServiceStub

SERVICE = "overplane.setup.v1.CustomerGroupService"
# Methods that are safe to retry while the service is unavailable: reads, and creates because they carry an idempotency key.
RETRYABLE = ["GetCustomerGroup", "ListCustomerGroups", "ListCustomerGroupChildren", "CreateCustomerGroup"]
RETRIES = {"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 4}
POLICY = {
    "name": [{"service": SERVICE, "method": method} for method in RETRYABLE],
    "retryPolicy": {**RETRIES, "retryableStatusCodes": ["UNAVAILABLE"]},
}


def connect(address):
    url = urlsplit(address)
    options = [("grpc.service_config", json.dumps({"methodConfig": [POLICY]}))]
    if url.scheme == "https":
        return grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(), options)
    return grpc.insecure_channel(url.netloc, options)


def names(groups):
    return ", ".join(group.customer_group_name for group in groups)


def details(error, kind):
    """Returns the `google.rpc` error details of the given message type."""
    status = rpc_status.from_call(error)
    found = status.details if status else []
    return [kind.FromString(detail.value) for detail in found if detail.Is(kind.DESCRIPTOR)]


def create_tree(stub, every_call):
    """Creates a tree in one atomic call. An entry names its parent by the reference of another entry."""
    tree = {"All customers": None, "Wholesale": "All customers", "Retail": "All customers"}
    tree |= {"Online": "All customers", "Export": "Wholesale"}
    entries = [
        {"customer_group": {"customer_group_name": name}, "reference": name, "parent_reference": parent}
        for name, parent in tree.items()
    ]
    created = stub.BatchCreateCustomerGroups(pb.BatchCreateCustomerGroupsRequest(requests=entries), **every_call).data
    print("created:", names(created))
    return created


def show_lists(stub, every_call, parent):
    for label, filters in [("roots", {"parent_id": "null"}), ("name contains SALE", {"customer_group_name": "SALE"})]:
        found = stub.ListCustomerGroups(pb.ListCustomerGroupsRequest(**filters), **every_call)
        print(f"{label}: {len(found.data)} of {found.total}: {names(found.data)}")
    page = pb.ListCustomerGroupChildrenResponse(has_more=True)
    while page.has_more:
        after = page.data[-1].id if page.data else None
        request = pb.ListCustomerGroupChildrenRequest(id=parent.id, limit=2, starting_after=after)
        page = stub.ListCustomerGroupChildren(request, **every_call)
        print("page of children:", names(page.data))


def set_terms(stub, every_call, group, terms):
    """Updates the version that was read. If the group has changed since, reads it again and retries."""
    for is_last in [False, False, True]:
        change, mask = {"id": group.id, "payment_terms": terms}, {"paths": ["payment_terms"]}
        request = pb.UpdateCustomerGroupRequest(customer_group=change, update_mask=mask, etag=group.etag)
        try:
            updated = stub.UpdateCustomerGroup(request, **every_call)
            print(f"updated: {updated.customer_group_name} has {updated.payment_terms}")
            return
        except grpc.RpcError as error:
            if is_last or "ETAG_MISMATCH" not in [info.reason for info in details(error, ErrorInfo)]:
                raise
        print("rejected: ETAG_MISMATCH; reading again")
        group = stub.GetCustomerGroup(pb.GetCustomerGroupRequest(id=group.id), **every_call)


def create(stub, every_call, key, **fields):
    """Creates a group. A repeated call with the same idempotency key creates no second one."""
    with_key = {**every_call, "metadata": [*every_call["metadata"], ("idempotency-key", key)]}
    request = pb.CreateCustomerGroupRequest(customer_group=fields)
    try:
        created, call = stub.CreateCustomerGroup.with_call(request, **with_key)
        replayed = "idempotent-replayed" in dict(call.initial_metadata())
        print(f"created: {created.customer_group_name}{' (replayed)' if replayed else ''}")
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
            raise
        for bad_request in details(error, BadRequest):
            for violation in bad_request.field_violations:
                print(f"rejected: {violation.field}: {violation.description}")


def delete_tree(stub, every_call, root):
    """Deletes a tree bottom-up. The stream lists parents before children, so the reverse order is safe."""
    groups = [root]
    request = pb.StreamCustomerGroupDescendantsRequest(id=root.id)
    for group in stub.StreamCustomerGroupDescendants(request, **every_call):
        print("streamed:", group.customer_group_name)
        groups.append(group)
    for group in reversed(groups):
        stub.DeleteCustomerGroup(pb.DeleteCustomerGroupRequest(id=group.id), **every_call)
    print(f"deleted: {len(groups)} groups")


def main():
    key = os.environ.get("API_KEY") or sys.exit("API_KEY is not set; set it to a key with write access")
    every_call = {"metadata": [("authorization", f"Bearer {key}")], "timeout": 10}
    try:
        with connect(os.environ.get("ADDRESS", "http://127.0.0.1:8080")) as channel:
            stub = CustomerGroupServiceStub(channel)
            root, wholesale, *_ = create_tree(stub, every_call)
            show_lists(stub, every_call, root)
            set_terms(stub, every_call, wholesale, "Net 30")
            # `wholesale` is stale now, so this update is rejected and retried.
            set_terms(stub, every_call, wholesale, "Net 60")
            create(stub, every_call, f"nameless of {root.id}", parent_id="nobody")
            for _ in range(2):
                create(stub, every_call, f"outlet of {root.id}", customer_group_name="Outlet", parent_id=root.id)
            delete_tree(stub, every_call, root)
    except grpc.RpcError as error:
        sys.exit(f"the tour failed: {error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
