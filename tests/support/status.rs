//! The details of a gRPC status.

use tonic::Status;
use tonic_types::StatusExt;

/// The reason in the only `ErrorInfo`, after checking its domain.
pub fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "overplane.dev");
    info.reason
}

/// The fields in the `BadRequest`, in its order.
pub fn fields(status: &Status) -> Vec<String> {
    let request = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest in {status:?}"));
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}
