//! Answers as JSON, in the documented order of the fields.

use std::fmt::Display;
use std::io::Write;

use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::header::CONTENT_TYPE;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::openapi::{id, parent_id};
use crate::domain::{self, CustomerGroup, GroupId, Text, Timestamp};
use crate::error::{Error, LateRecord};
use crate::service::Groups;

/// The customer group object: always all nine fields, an unset one as null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustomerGroup)]
pub(super) struct CustomerGroupObject<'a> {
    #[schema(schema_with = id)]
    id: AsText<GroupId>,
    /// Timestamp of when the object was created, in UTC and milliseconds.
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T09:30:00.000Z")]
    created_at: AsText<Timestamp>,
    /// Timestamp of when the object was last updated; that of its creation until then.
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T09:30:00.000Z")]
    updated_at: AsText<Timestamp>,
    #[schema(schema_with = parent_id, required)]
    parent_id: Option<AsText<GroupId>>,
    /// Whether it is meant to hold other groups.
    #[schema(default = false, required)]
    is_group: bool,
    /// The name for people. Names need not be unique.
    #[schema(min_length = 1, max_length = 255, example = "customer_group_name_example")]
    customer_group_name: &'a str,
    /// A reference into another system. It never moves a group: `parent_id` does.
    #[schema(required, max_length = 255, example = "parent_customer_group_example")]
    parent_customer_group: Option<&'a str>,
    /// The price list of its customers: a reference into another system.
    #[schema(required, max_length = 255, example = "default_price_list_example")]
    default_price_list: Option<&'a str>,
    /// The payment terms of its customers: a reference into another system.
    #[schema(required, max_length = 255, example = "payment_terms_example")]
    payment_terms: Option<&'a str>,
}

/// The list shape. It is written while it is read: see [`list`].
#[derive(ToSchema)]
#[schema(as = CustomerGroupList)]
#[allow(dead_code, reason = "it describes what is written")]
pub(super) struct List<'a> {
    /// The objects of the page.
    data: Vec<CustomerGroupObject<'a>>,
    /// Whether there is a further object past the page.
    #[schema(example = false)]
    has_more: bool,
    /// The exact number of objects in the whole list.
    #[schema(minimum = 0, example = 1)]
    total: i32,
}

/// The answer to a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustomerGroupBatch)]
pub(super) struct Batch<'a> {
    /// The objects, in the order of the request.
    data: Vec<CustomerGroupObject<'a>>,
}

/// The confirmation of a delete.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedCustomerGroup)]
pub(super) struct Deleted {
    #[schema(schema_with = id)]
    id: AsText<GroupId>,
    /// Always true.
    #[schema(example = true)]
    deleted: bool,
}

/// A value that is written as the text that it shows as.
#[derive(Debug)]
struct AsText<T>(T);

impl<T: Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'a> From<&'a CustomerGroup> for CustomerGroupObject<'a> {
    fn from(group: &'a CustomerGroup) -> Self {
        Self {
            id: AsText(group.id),
            created_at: AsText(group.created_at()),
            updated_at: AsText(group.updated_at),
            parent_id: group.parent_id.map(AsText),
            is_group: group.is_group,
            customer_group_name: group.customer_group_name.as_str(),
            parent_customer_group: group.parent_customer_group.as_ref().map(Text::as_str),
            default_price_list: group.default_price_list.as_ref().map(Text::as_str),
            payment_terms: group.payment_terms.as_ref().map(Text::as_str),
        }
    }
}

/// Writes the object of a group, as in every answer.
///
/// # Errors
///
/// What writing ends in.
pub fn write_object(group: &CustomerGroup, to: impl Write) -> std::io::Result<()> {
    serde_json::to_writer(to, &CustomerGroupObject::from(group)).map_err(Into::into)
}

/// Writes a list in the documented shape: at once when all of it is there, and otherwise part by part while it is
/// read. One that breaks off ends the connection, so that nobody takes it for whole.
pub(super) async fn list(mut groups: Groups) -> Result<Response, Error> {
    let late = LateRecord::default();
    let body = if groups.is_whole() {
        let mut json = Written::begin();
        while let Some(part) = groups.next().await {
            json.write(&part?)?;
        }
        Body::from(json.end()?)
    } else {
        Body::from_stream(parts(groups, late.clone()))
    };
    Ok(([(CONTENT_TYPE, "application/json")], Extension(late), body).into_response())
}

fn parts(groups: Groups, late: LateRecord) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    let parts = stream::unfold(Some((groups, Written::begin())), move |state| {
        let late = late.clone();
        async move {
            let (mut groups, mut json) = state?;
            let written = match groups.next().await {
                Some(Ok(part)) => json.write(&part).map(|()| json.take()),
                Some(Err(error)) => Err(error),
                None => return json.end().ok().map(|end| (Ok(end), None)),
            };
            Some(match written {
                Ok(bytes) => (Ok(bytes), Some((groups, json))),
                Err(error) => {
                    late.set(&error);
                    (Err(error), None)
                }
            })
        }
    });
    // The compression asks once more after the end.
    parts.fuse()
}

/// A list in the documented shape, so far.
struct Written {
    json: Vec<u8>,
    has_objects: bool,
    has_more: bool,
    total: i32,
}

impl Written {
    fn begin() -> Self {
        Self { json: br#"{"data":["#.to_vec(), has_objects: false, has_more: false, total: 0 }
    }

    fn write(&mut self, part: &domain::List) -> Result<(), Error> {
        (self.has_more, self.total) = (part.has_more, part.total);
        for group in &part.data {
            if std::mem::replace(&mut self.has_objects, true) {
                self.json.push(b',');
            }
            serde_json::to_writer(&mut self.json, &CustomerGroupObject::from(group))
                .map_err(Error::internal)?;
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.json)
    }

    fn end(mut self) -> Result<Vec<u8>, Error> {
        write!(self.json, r#"],"has_more":{},"total":{}}}"#, self.has_more, self.total)
            .map_err(Error::internal)?;
        Ok(self.json)
    }
}

impl<'a> From<&'a [CustomerGroup]> for Batch<'a> {
    fn from(groups: &'a [CustomerGroup]) -> Self {
        Self { data: groups.iter().map(Into::into).collect() }
    }
}

impl From<GroupId> for Deleted {
    fn from(id: GroupId) -> Self {
        Self { id: AsText(id), deleted: true }
    }
}
