//! Lists as one message, and as a stream of messages.

use futures_util::stream::{self, Stream, StreamExt};
use prost::Message;
use tonic::Status;

use super::{pb, status};
use crate::domain::List;
use crate::error::{Error, LateRecord, MAX_ANSWER_BYTES};
use crate::service::Groups;

/// A list as one message has it.
pub(super) struct Collected {
    data: Vec<pb::CustomerGroup>,
    has_more: bool,
    total: i32,
}

impl Collected {
    /// Reads a list to its end.
    ///
    /// # Errors
    ///
    /// [`Error::AnswerTooLarge`] with the advice, as soon as it is.
    pub(super) async fn from(mut groups: Groups, advice: &'static str) -> Result<Self, Error> {
        /// What a message in a list costs beside its own bytes, at the most.
        const HEAD: usize = 5;
        let mut list = Self { data: Vec::new(), has_more: false, total: 0 };
        let mut size = 0;
        while let Some(part) = groups.next().await {
            let part = part?;
            (list.has_more, list.total) = (part.has_more, part.total);
            for group in part.data {
                let group = pb::CustomerGroup::from(group);
                size += group.encoded_len() + HEAD;
                if size > MAX_ANSWER_BYTES {
                    return Err(Error::AnswerTooLarge(advice));
                }
                list.data.push(group);
            }
        }
        Ok(list)
    }
}

/// The four list responses have one shape, but a type each, as the style of protobuf wants it.
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

/// The groups of a list one by one, and the error that it breaks off with, if it does.
pub(super) fn one_by_one(
    groups: Groups,
    request_id: String,
    late: LateRecord,
) -> impl Stream<Item = Result<pb::CustomerGroup, Status>> {
    let parts = stream::unfold(groups, |mut groups| async { groups.next().await.map(|part| (part, groups)) });
    parts.flat_map(move |part| {
        let messages: Vec<_> = match part {
            Ok(List { data, .. }) => data.into_iter().map(|group| Ok(group.into())).collect(),
            Err(error) => {
                late.set(&error);
                vec![Err(status::of(&error, &request_id))]
            }
        };
        stream::iter(messages)
    })
}
