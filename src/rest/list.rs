//! Lists as JSON or as NDJSON, written while they are read.

use std::io::Write;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use super::input::JSON;
use super::output::CustomerGroupObject;
use crate::api::CallContext;
use crate::api::headers::weighted;
use crate::domain::{CustomerGroup, GroupList, TextField};
use crate::error::Error;
use crate::service::GroupStream;

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListFormat {
    /// The documented shape.
    Json,
    /// One object in each line, and a last line with the other members of the list.
    Ndjson,
}

impl ListFormat {
    /// Returns NDJSON if the caller names it, and does not prefer JSON (RFC 9110, section 12.5.1).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let weight_of = |media_type: &str| {
            let entries =
                weighted(headers, &ACCEPT).filter(|(name, _)| name.eq_ignore_ascii_case(media_type));
            entries.filter_map(|(_, weight)| weight).fold(0.0_f32, f32::max)
        };
        if weight_of(NDJSON) > weight_of(JSON) { Self::Ndjson } else { Self::Json }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Ndjson => NDJSON,
        }
    }
}

const NDJSON: &str = "application/x-ndjson";

/// Writes a list: at once if it is complete, otherwise part by part while it is read. An error
/// aborts the connection, so that the caller does not take the list for complete.
pub(super) async fn list(
    mut groups: GroupStream,
    format: ListFormat,
    context: &CallContext,
) -> Result<Response, Error> {
    let body = if groups.is_whole() {
        let mut json = ListWriter::begin(format);
        while let Some(part) = groups.next().await {
            json.write(part?)?;
        }
        let json = json.end()?;
        context.buffer(0, json.len())?;
        Body::from(json)
    } else {
        Body::from_stream(parts(groups, format, context.clone()))
    };
    Ok(([(CONTENT_TYPE, format.content_type())], body).into_response())
}

fn parts(
    groups: GroupStream,
    format: ListFormat,
    context: CallContext,
) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    let parts = stream::unfold(Some((groups, ListWriter::begin(format))), move |list| {
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
    format: ListFormat,
    json: Vec<u8>,
    has_objects: bool,
    has_more: bool,
    total: i32,
}

impl ListWriter {
    fn begin(format: ListFormat) -> Self {
        let json = match format {
            ListFormat::Json => br#"{"data":["#.to_vec(),
            ListFormat::Ndjson => Vec::new(),
        };
        Self { format, json, has_objects: false, has_more: false, total: 0 }
    }

    /// Each group leaves memory when it is written.
    fn write(&mut self, part: GroupList) -> Result<(), Error> {
        (self.has_more, self.total) = (part.has_more, part.total);
        self.json.reserve(part.data.iter().map(length).sum());
        for group in part.data {
            let is_first = !std::mem::replace(&mut self.has_objects, true);
            let (before, after) = match (self.format, is_first) {
                (ListFormat::Json, true) => ("", ""),
                (ListFormat::Json, false) => (",", ""),
                (ListFormat::Ndjson, _) => ("", "\n"),
            };
            self.json.extend_from_slice(before.as_bytes());
            serde_json::to_writer(&mut self.json, &CustomerGroupObject::from(&group))
                .map_err(Error::internal)?;
            self.json.extend_from_slice(after.as_bytes());
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.json)
    }

    fn end(mut self) -> Result<Vec<u8>, Error> {
        let Self { has_more, total, .. } = self;
        match self.format {
            ListFormat::Json => write!(self.json, r#"],"has_more":{has_more},"total":{total}}}"#),
            ListFormat::Ndjson => writeln!(self.json, r#"{{"has_more":{has_more},"total":{total}}}"#),
        }
        .map_err(Error::internal)?;
        // It may wait long for its reader.
        self.json.shrink_to_fit();
        Ok(self.json)
    }
}
