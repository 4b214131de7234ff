//! A request as it comes from the connection.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::pace::Hold;

/// A connection from a caller.
#[derive(Debug)]
pub(super) struct Connection {
    /// The other end of it.
    pub(super) address: IpAddr,
    pub(super) hold: Arc<Hold>,
}

/// Where a request came from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) connection: Arc<Connection>,
    pub(super) cut_off: CutOff,
}

/// Whether the request's body broke off, since its caller went away. Whatever is answered then, nobody gets it.
#[derive(Debug, Clone, Default)]
pub(super) struct CutOff(Arc<AtomicBool>);

impl CutOff {
    pub(super) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that tells when it breaks off. Over HTTP/1, what of it nobody has read is read and thrown away: a
/// caller sends all of it first, and would get a broken connection in place of the answer.
pub(super) struct Received {
    body: Option<Incoming>,
    version: Version,
    cut_off: CutOff,
}

impl Received {
    /// Takes a request from the connection.
    pub(super) fn request(
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> (Request<Self>, Origin) {
        let (cut_off, version) = (CutOff::default(), request.version());
        let request = request.map(|body| Self { body: Some(body), version, cut_off: cut_off.clone() });
        (request, Origin { connection, cut_off })
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if let Some(Err(_)) = &frame {
            self.cut_off.0.store(true, Ordering::Relaxed);
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

impl Drop for Received {
    fn drop(&mut self) {
        if self.version < Version::HTTP_2
            && let Some(body) = self.body.take().filter(|body| !body.is_end_stream())
        {
            tokio::spawn(throw_away(body));
        }
    }
}

/// Reads on, for a while.
async fn throw_away(mut body: Incoming) {
    const PATIENCE: Duration = Duration::from_secs(10);
    const MAX_BYTES: usize = 64 << 20;

    let read = async {
        let mut left = MAX_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
        }
    };
    // Whether all of it came is of no interest: the answer is given.
    drop(timeout(PATIENCE, read).await);
}
