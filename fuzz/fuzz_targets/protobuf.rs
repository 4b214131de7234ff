//! Protobuf requests: an accepted group keeps its meaning when it is encoded again; an error names the field.
//! The first byte selects the kind of request.
#![no_main]

use std::collections::HashSet;

use customer_groups::testing::{GroupPatch, GroupId, NewBatch, NewGroup, Violations};
use customer_groups::testing::Error;
use customer_groups::testing::{self, pb};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fn check_violations(violations: &Violations) {
    for violation in violations.as_slice() {
        let last = violation.field.rsplit('.').next().unwrap();
        assert!(!last.is_empty() && violation.description.contains(last), "{violation:?}");
    }
}

fn create(request: pb::CreateCustomerGroupRequest) {
    match NewGroup::parse(grpc::new_group(request)) {
        Ok(new) => {
            let message = pb::CustomerGroup::from(new.group().clone());
            let message = pb::CustomerGroup::decode(message.encode_to_vec().as_slice()).unwrap();
            let request = pb::CreateCustomerGroupRequest { customer_group: Some(message) };
            let again = NewGroup::parse(grpc::new_group(request)).unwrap();
            assert_eq!(again.fingerprint(), new.fingerprint());
        }
        Err(violations) => check_violations(&violations),
    }
}

fn update(request: pb::UpdateCustomerGroupRequest) {
    let id = request.customer_group.as_ref().map(|group| group.id.clone());
    match grpc::update(request) {
        Ok((of, _, input)) => {
            assert_eq!(Some(of), id);
            if let Err(violations) = GroupPatch::parse(input) {
                check_violations(&violations);
            }
        }
        Err(Error::Invalid(violations)) => check_violations(&violations),
        Err(error) => panic!("{error:?}"),
    }
}

fn batch_create(request: pb::BatchCreateCustomerGroupsRequest) {
    let count = request.requests.len();
    let Ok(input) = grpc::new_batch(request) else { return };
    match NewBatch::parse(input) {
        Ok(new) => {
            let ids: HashSet<GroupId> = new.groups().map(|group| group.id).collect();
            assert_eq!(ids.len(), count);
            let fingerprint = new.fingerprint();
            assert_eq!(new.clone().fingerprint(), fingerprint);
            let ids: Vec<GroupId> = new.groups().map(|group| group.id).collect();
            let groups = new.clone().into_groups();
            assert_eq!(new.into_earlier(&ids), groups);
        }
        Err(violations) => check_violations(&violations.with_missing(&HashSet::new()).unwrap()),
    }
}

fn list(request: pb::ListCustomerGroupsRequest) {
    if let Err(violations) = grpc::list(request).parse() {
        check_violations(&violations);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, message)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => drop(pb::CreateCustomerGroupRequest::decode(message).map(create)),
        1 => drop(pb::UpdateCustomerGroupRequest::decode(message).map(update)),
        2 => drop(pb::BatchCreateCustomerGroupsRequest::decode(message).map(batch_create)),
        _ => drop(pb::ListCustomerGroupsRequest::decode(message).map(list)),
    }
});
