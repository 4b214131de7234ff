//! Lists in one message, and as a stream of messages.

use futures_util::stream::{self, Stream, StreamExt};
use prost::Message;
use tonic::Status;

use super::{pb, status};
use crate::api::CallContext;
use crate::domain::GroupList;
use crate::error::{Error, MAX_RESPONSE_BYTES};
use crate::service::GroupStream;

/// A list in one message.
pub(super) struct Collected {
    data: Vec<pb::CustomerGroup>,
    has_more: bool,
    total: i32,
}

impl Collected {
    /// Reads a list to its end, or returns [`Error::AnswerTooLarge`] with the remedy.
    pub(super) async fn from(
        mut groups: GroupStream,
        context: &CallContext,
        remedy: &'static str,
    ) -> Result<Self, Error> {
        /// The maximum of bytes by which a list entry is larger than its message.
        const HEAD: usize = 5;
        let mut list = Self { data: Vec::new(), has_more: false, total: 0 };
        let mut size = 0;
        while let Some(part) = groups.next().await {
            let part = part?;
            (list.has_more, list.total) = (part.has_more, part.total);
            for group in part.data {
                let group = pb::CustomerGroup::from(group);
                size += group.encoded_len() + HEAD;
                if size > MAX_RESPONSE_BYTES {
                    return Err(Error::AnswerTooLarge(remedy));
                }
                list.data.push(group);
            }
        }
        context.buffer(0, size)?;
        Ok(list)
    }
}

/// The list responses have the same fields. Each is a type of its own, as protobuf's style guide requires.
macro_rules! from_list {
    ($($response:ident),+) => {
        $(impl From<Collected> for pb::$response {
            fn from(Collected { data, has_more, total }: Collected) -> Self {
                Self { data, has_more, total }
            }
        })+
    };
}

from_list!(
    ListCustomerGroupsResponse,
    ListCustomerGroupChildrenResponse,
    ListCustomerGroupAncestorsResponse,
    ListCustomerGroupDescendantsResponse
);

/// Streams the groups of a list one by one. An error ends the stream.
pub(super) fn one_by_one(
    groups: GroupStream,
    context: CallContext,
) -> impl Stream<Item = Result<pb::CustomerGroup, Status>> {
    let parts = stream::unfold(groups, |mut groups| async { groups.next().await.map(|part| (part, groups)) });
    parts.flat_map(move |part| {
        let messages: Vec<_> = match context.check_key().and(part) {
            Ok(GroupList { data, .. }) => data.into_iter().map(|group| Ok(group.into())).collect(),
            Err(error) => vec![Err(status::render(&error, &context.state))],
        };
        stream::iter(messages)
    })
}
