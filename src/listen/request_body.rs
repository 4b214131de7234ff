//! Request bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::api::CallState;

/// A request body that marks its call as aborted when it breaks off. Over HTTP/1, the unread part is read and discarded:
/// a caller sends the whole body first, and would get a connection reset instead of the response.
pub(super) struct RequestBody {
    body: Option<Incoming>,
    version: Version,
    state: Arc<CallState>,
}

impl RequestBody {
    pub(super) fn wrap(request: Request<Incoming>, state: Arc<CallState>) -> Request<Self> {
        let version = request.version();
        request.map(|body| Self { body: Some(body), version, state })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if let Some(Err(_)) = &frame {
            self.state.abort();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.version < Version::HTTP_2
            && let Some(body) = self.body.take().filter(|body| !body.is_end_stream())
        {
            tokio::spawn(discard(body));
        }
    }
}

async fn discard(mut body: Incoming) {
    const TIMEOUT: Duration = Duration::from_secs(10);
    const MAX_BYTES: usize = 64 << 20;

    let read = async {
        let mut left = MAX_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
        }
    };
    // The response is already sent. A body that is not read in time closes the connection.
    drop(timeout(TIMEOUT, read).await);
}
