//! Request bodies of admitted calls.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::api::{AnyBody, CallContext};

/// A request body whose bytes count against the limits of its API key. Over a limit, it marks the call and does not go
/// on; whoever polls the handler ends the call.
pub(super) struct CountedBody<B> {
    body: B,
    context: CallContext,
    bytes: usize,
}

impl<B> CountedBody<B> {
    pub(super) fn new(body: B, context: CallContext) -> Self {
        Self { body, context, bytes: 0 }
    }
}

impl<B: AnyBody> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            if self.context.buffer(self.bytes, data.len()).is_err() {
                self.context.state.abort_body();
                return Poll::Pending;
            }
            self.bytes += data.len();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
