//! The bodies of public responses.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::api::{CallState, Protocol};
use crate::error::Error;
use crate::grpc;

/// A body that ends with an error when its time is over: a stream of an RPC, or a file that its caller reads slowly.
pub(super) struct LimitedBody {
    body: Body,
    time: Pin<Box<Sleep>>,
    state: Arc<CallState>,
    protocol: Protocol,
    is_over: bool,
}

impl LimitedBody {
    pub(super) fn wrap(
        response: Response<Body>,
        end: Instant,
        protocol: Protocol,
        state: &Arc<CallState>,
    ) -> Response<Body> {
        let (time, state) = (Box::pin(sleep_until(end)), state.clone());
        response.map(|body| Body::new(Self { body, time, state, protocol, is_over: false }))
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
        if self.time.as_mut().poll(context).is_pending() {
            return Pin::new(&mut self.body).poll_frame(context);
        }
        self.is_over = true;
        Poll::Ready(Some(match self.protocol {
            Protocol::Grpc => Ok(Frame::trailers(grpc::trailers(&Error::Timeout, &self.state))),
            Protocol::Rest => {
                self.state.record_error(&Error::Timeout);
                Err(axum::Error::new(Error::Timeout))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
