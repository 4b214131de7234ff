//! Everything below the root in one answer, against a binary COPY of the same rows.

use std::time::{Duration, Instant};

use customer_groups::grpc::pb;
use prost::Message;

use crate::database::{MILLION, copy_out, id};
use crate::grpc::Caller;
use crate::http1::{download, find};
use crate::report::{Bar, Spread, head, row};
use crate::service::Service;
use crate::works::{OBJECT, ask_for_one, is_group, rpc};

const FACES: [&str; 2] = ["over REST", "over gRPC, as a stream"];

/// How many times longer it may take than COPY; milliseconds to the first object; MiB at most.
const BARS: [f64; 3] = [6.0, 300.0, 64.0];

/// How long all of them took, and when the first came.
struct Took {
    whole: Duration,
    first: Duration,
}

/// One turn of one face.
pub struct Turn {
    took: Took,
    copy: Duration,
    /// The most memory that the service had, in MiB.
    peak: f64,
}

pub async fn turn(service: &Service) -> [Turn; 2] {
    let sql = service.sql().await;
    let copy = copy_out(&sql, MILLION).await;
    service.forget_peak();
    let took = over_rest(service).await;
    let rest = Turn { took, copy, peak: service.memory("VmHWM") };
    let copy = copy_out(&sql, MILLION).await;
    service.forget_peak();
    let took = over_grpc(service).await;
    [rest, Turn { took, copy, peak: service.memory("VmHWM") }]
}

/// What of a body in JSON is kept to be looked at.
#[derive(Default)]
struct Body {
    begin: Vec<u8>,
    end: Vec<u8>,
    objects: usize,
}

impl Body {
    fn take(&mut self, bytes: &[u8]) {
        const KEPT: usize = 512;
        let missing = KEPT - self.begin.len();
        self.begin.extend(bytes.iter().take(missing));
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
        self.end.drain(..self.end.len().saturating_sub(KEPT));
        self.objects += braces(bytes);
    }

    /// All of them, a child of the root first.
    fn check(&self) {
        let (begin, end) = (String::from_utf8_lossy(&self.begin), String::from_utf8_lossy(&self.end));
        let (first, _) = begin.split_once('}').expect("a first object");
        assert!(
            first.starts_with(BEGIN) && first.contains(&format!("\"parent_id\":\"{}\"", id(0))),
            "{begin}"
        );
        let total = MILLION - 1;
        assert!(end.ends_with(&format!("}}],\"has_more\":false,\"total\":{total}}}")), "{end}");
        // The list is one, too.
        assert_eq!(self.objects, MILLION as usize);
    }
}

/// The number of objects that begin there, since no text has such a character. It is counted in bytes, many of
/// which the processor adds at once, so that the client does not take the time of what it measures.
fn braces(bytes: &[u8]) -> usize {
    let few = bytes.chunks(240).map(|few| few.iter().map(|byte| u8::from(*byte == b'{')).sum::<u8>());
    few.map(usize::from).sum()
}

const BEGIN: &str = "{\"data\":[{\"id\":\"customer-group_";

async fn over_rest(service: &Service) -> Took {
    let path = format!("{OBJECT}{}/descendants", id(0));
    let (mut body, mut first) = (Body::default(), None);
    let begun = Instant::now();
    let take = |bytes: &[u8]| {
        body.take(bytes);
        if first.is_none() && find(&body.begin, b"[{").is_some() {
            first = Some(begun.elapsed());
        }
    };
    download(service.address, &path, take).await;
    let whole = begun.elapsed();
    body.check();
    Took { whole, first: first.expect("an object") }
}

async fn over_grpc(service: &Service) -> Took {
    let mut caller = Caller::open(service.address).await;
    let (root, asked) = ask_for_one(0);
    let (answer, _) = caller.call(&rpc("GetCustomerGroup"), &root).await;
    assert!(is_group(&asked, &answer), "{answer:?}");

    let (mut number, mut first) = (0, None);
    let begun = Instant::now();
    let take = |message: &[u8]| {
        number += 1;
        assert!(message.get(2..).is_some_and(|rest| rest.starts_with(b"customer-group_")), "{message:?}");
        first.get_or_insert_with(|| (begun.elapsed(), message.to_vec()));
    };
    caller.stream(&rpc("StreamCustomerGroupDescendants"), &root, take).await;
    let whole = begun.elapsed();
    assert_eq!(number, MILLION - 1);
    let (first, message) = first.expect("a message");
    let group = pb::CustomerGroup::decode(message.as_slice()).expect("a group");
    assert_eq!(group.parent_id, Some(id(0)), "{group:?}");
    Took { whole, first }
}

pub fn print(rounds: &[[Turn; 2]]) {
    head(&[
        "all descendants of the root",
        "seconds",
        "COPY, seconds",
        "ratio (spread)",
        "bar",
        "met",
        "ms to the first",
        "bar",
        "met",
        "most MiB of service",
        "bar",
        "met",
    ]);
    let [slower, late, large] = BARS.map(Bar::AtMost);
    for (face, name) in FACES.into_iter().enumerate() {
        let of = |figure: fn(&Turn) -> f64| Spread::of(rounds.iter().map(|turns| figure(&turns[face])));
        let whole = of(|turn| turn.took.whole.as_secs_f64());
        let copy = of(|turn| turn.copy.as_secs_f64());
        let ratio = of(|turn| turn.took.whole.as_secs_f64() / turn.copy.as_secs_f64());
        let first = of(|turn| turn.took.first.as_secs_f64() * 1e3);
        let peak = of(|turn| turn.peak);
        row(&[
            &[name.to_owned(), format!("{:.2}", whole.median), format!("{:.2}", copy.median)],
            &[format!("{ratio:.1}")],
            &slower.of(ratio),
            &[format!("{first:.0}")],
            &late.of(first),
            &[format!("{peak:.1}")],
            &large.of(peak),
        ]);
    }
}
