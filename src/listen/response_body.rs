//! Response bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http::{Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::activity::ActiveCall;
use super::write_progress::WriteProgress;

/// The largest part of a body: one frame of HTTP/2 (RFC 9113, section 4.2).
const MAX_PART: usize = 1 << 14;

/// The size above which, over HTTP/2, the last byte of a part is a part of its own. The HTTP library hands a part over as
/// soon as the caller has made room for its first byte, so the last byte shows that there was room for the others.
const SMALL_PART: usize = 1 << 10;

/// A response body, which ends its call. It is handed over in small parts, so that the rest is still here, and counted,
/// while its caller does not read.
pub(super) struct ResponseBody {
    body: Body,
    /// The rest of a part that was too large.
    rest: Bytes,
    /// Set over HTTP/2.
    progress: Option<Arc<WriteProgress>>,
    _call: ActiveCall,
}

impl ResponseBody {
    pub(super) fn wrap(response: Response<Body>, version: Version, call: ActiveCall) -> Response<Self> {
        let progress = WriteProgress::current().filter(|_| version == Version::HTTP_2);
        if let Some(progress) = &progress {
            progress.record_part();
        }
        response.map(|body| Self { body, rest: Bytes::new(), progress, _call: call })
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, rest, progress, .. } = &mut *self;
        if rest.is_empty() {
            if let Some(progress) = progress {
                progress.record_demand();
            }
            let frame = match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => *rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let mut length = rest.len().min(MAX_PART);
        if let Some(progress) = progress {
            progress.record_part();
            if length == rest.len() && length > SMALL_PART {
                length -= 1;
            }
        }
        Poll::Ready(Some(Ok(Frame::data(rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
