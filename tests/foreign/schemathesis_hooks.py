"""Schemathesis hooks that replace generated ids by ids of existing groups."""

import os
import re
from urllib.parse import urljoin

import requests
import schemathesis


@schemathesis.hook
def filter_headers(context, headers):
    """Drops header values that HTTP does not allow (RFC 9110, section 5.5)."""
    return all(re.fullmatch("[\t -~\x80-\xff]*", str(value)) for value in (headers or {}).values())


# Controls of the direction, and characters that nobody sees. No pattern can say that the former must be closed, and that a
# name needs another character beside the latter.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U00013430-\U00013455\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def visible(value):
    """Replaces the characters that nobody sees in all texts."""
    if isinstance(value, str):
        return INVISIBLE.sub("x", value)
    if isinstance(value, list):
        return [visible(item) for item in value]
    if isinstance(value, dict):
        return {name: visible(item) for name, item in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    """Uses ids of existing groups in valid calls, because random ids almost never exist, and visible texts."""
    if not case.meta or not case.meta.generation.mode.is_positive:
        return
    case.body, case.query = visible(case.body), visible(case.query)
    if isinstance(case.body, dict) and isinstance(case.body.get("parent_id"), str):
        # A new group is never in the subtree that the call moves, so the update cannot make a cycle.
        case.body["parent_id"] = create(case)
    if isinstance(case.body, dict) and isinstance(case.body.get("requests"), list):
        for number, entry in enumerate(case.body["requests"]):
            settle(case, number, entry)
    # Replace half of the ids; keep the other half as generated.
    if isinstance(case.body, dict) and isinstance(case.body.get("ids"), list) and len(case.body["ids"]) % 2 == 1:
        case.body["ids"] = [create(case)] * len(case.body["ids"])
    group_id = case.path_parameters.get("id", "")
    if case.meta.phase.name == "fuzzing" and len(group_id) % 2 == 1:
        case.path_parameters["id"] = create(case, parent_id=create(case))
        if case.method == "GET":
            create(case, parent_id=case.path_parameters["id"])
    if (case.query or {}).get("parent_id", "null") != "null":
        case.query["parent_id"] = create(case)
    if isinstance((case.query or {}).get("starting_after"), str):
        start_inside(case)


def start_inside(case):
    """Sets `starting_after` to a group that is in the list."""
    above = create(case)
    below = create(case, parent_id=above)
    of_below = case.operation.path.endswith("/ancestors")
    case.query["starting_after"] = above if of_below else below
    if "{id}" in case.operation.path:
        case.path_parameters["id"] = below if of_below else above


def settle(case, number, entry):
    """Makes a batch entry valid: a unique reference, and at most one parent, which exists."""
    if isinstance(entry.get("reference"), str):
        entry["reference"] = f"{number} {entry['reference']}"[:255]
    if isinstance(entry["customer_group"].get("parent_id"), str):
        entry["customer_group"]["parent_id"] = create(case)
        entry.pop("parent_reference", None)
    before = case.body["requests"][number - 1].get("reference") if number > 0 else None
    if isinstance(entry.get("parent_reference"), str):
        entry["parent_reference"] = before


def create(case, **fields):
    """Creates a group and returns its id."""
    url = urljoin(case.operation.base_url, "/api/setup/customer-group")
    key = {"Authorization": f"Bearer {os.environ['API_KEY']}"}
    answer = requests.post(url, json={"customer_group_name": "x", **fields}, headers=key, timeout=30)
    answer.raise_for_status()
    return answer.json()["id"]
