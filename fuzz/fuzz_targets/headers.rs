//! Ids, etags and idempotency keys: a valid one is written as it was read.
#![no_main]

use customer_groups::testing::{GroupId, IdempotencyKey, IfMatch, KeyId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match IdempotencyKey::parse([bytes]) {
        Ok(key) => assert_eq!(key.unwrap().as_str().as_bytes(), bytes),
        Err(violation) => {
            assert_eq!(violation.field, "idempotency-key");
            assert!(violation.description.contains("idempotency-key"));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(id) = GroupId::parse(text) {
        assert_eq!(id.to_string(), text);
        assert_eq!(GroupId::from_uuid(id.uuid()), Some(id));
        assert_eq!(id.created_at().to_string().len(), "2024-01-15T09:30:00.123Z".len());
    }
    if let Some(id) = KeyId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    if let IfMatch::OneOf(etags) = IfMatch::parse(text) {
        for etag in etags {
            let written = etag.to_string();
            assert!(text.contains(&written));
            assert_eq!(IfMatch::parse(&written), IfMatch::OneOf(vec![etag]));
            assert!(etag.is_any_of(text) && etag.is_any_of(&format!("W/{written}")));
        }
    }
});
