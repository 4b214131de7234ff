//! Lists as JSON, written while they are read.

use std::io::Write;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::header::CONTENT_TYPE;

use super::output::CustomerGroupObject;
use crate::api::CallContext;
use crate::domain::{CustomerGroup, GroupList, TextField};
use crate::error::Error;
use crate::service::GroupStream;

/// Writes a list in the documented shape: at once if it is complete, otherwise part by part while it is read. An error
/// aborts the connection, so that the caller does not take the list for complete.
pub(super) async fn list(mut groups: GroupStream, context: &CallContext) -> Result<Response, Error> {
    let body = if groups.is_whole() {
        let mut json = ListWriter::begin();
        while let Some(part) = groups.next().await {
            json.write(part?)?;
        }
        let json = json.end()?;
        context.buffer(0, json.len())?;
        Body::from(json)
    } else {
        Body::from_stream(parts(groups, context.clone()))
    };
    Ok(json_response(body))
}

/// Returns a response with a body that is JSON.
pub(super) fn json_response(body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}

fn parts(groups: GroupStream, context: CallContext) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    let parts = stream::unfold(Some((groups, ListWriter::begin())), move |list| {
        let context = context.clone();
        async move {
            let (mut groups, mut json) = list?;
            let part = groups.next().await.map(|part| context.check_key().and(part));
            let written = match part {
                Some(Ok(part)) => json.write(part).map(|()| json.take()),
                Some(Err(error)) => Err(error),
                None => return json.end().ok().map(|end| (Ok(end), None)),
            };
            Some(match written {
                Ok(bytes) => (Ok(bytes), Some((groups, json))),
                Err(error) => {
                    context.state.record_error(&error);
                    (Err(error), None)
                }
            })
        }
    });
    // The compression polls once more after the end.
    parts.fuse()
}

/// The usual length of a group as JSON, so that a long list does not grow step by step, and take twice its space.
fn length(group: &CustomerGroup) -> usize {
    /// The names of the fields, the ids and the times.
    const OTHERS: usize = 320;
    let texts = TextField::ALL.into_iter().filter_map(|field| group.texts[field].as_ref());
    OTHERS + group.customer_group_name.as_str().len() + texts.map(|text| text.as_str().len()).sum::<usize>()
}

struct ListWriter {
    json: Vec<u8>,
    has_objects: bool,
    has_more: bool,
    total: i32,
}

impl ListWriter {
    fn begin() -> Self {
        Self { json: br#"{"data":["#.to_vec(), has_objects: false, has_more: false, total: 0 }
    }

    /// Each group leaves memory when it is written.
    fn write(&mut self, part: GroupList) -> Result<(), Error> {
        (self.has_more, self.total) = (part.has_more, part.total);
        self.json.reserve(part.data.iter().map(length).sum());
        for group in part.data {
            if std::mem::replace(&mut self.has_objects, true) {
                self.json.push(b',');
            }
            serde_json::to_writer(&mut self.json, &CustomerGroupObject::from(&group))
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
        // It may wait long for its reader.
        self.json.shrink_to_fit();
        Ok(self.json)
    }
}
