//! The bodies of public responses.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::api::CallState;
use crate::error::Error;
use crate::grpc;

/// A body that may last: the stream of an RPC. When its time is over, it ends with an error.
pub(super) struct LimitedBody {
    body: Body,
    time: Pin<Box<Sleep>>,
    state: Arc<CallState>,
    is_over: bool,
}

impl LimitedBody {
    pub(super) fn wrap(response: Response<Body>, time: Duration, state: &Arc<CallState>) -> Response<Body> {
        let (time, state) = (Box::pin(sleep(time)), state.clone());
        response.map(|body| Body::new(Self { body, time, state, is_over: false }))
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if self.time.as_mut().poll(context).is_ready() => {
                self.is_over = true;
                Poll::Ready(Some(Ok(Frame::trailers(grpc::trailers(&Error::Timeout, &self.state)))))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
