//! All descendants of the root in one response, compared with a binary COPY of the same rows.

use std::time::{Duration, Instant};

use customer_groups::testing::pb;
use prost::Message;

use crate::database::{MILLION, copy_out, id};
use crate::grpc::Caller;
use crate::http1::{download, find};
use crate::report::{Limit, Spread, print_head, print_row};
use crate::service::Service;
use crate::workloads::{OBJECT, is_group, request_one, rpc};

const FACES: [&str; 2] = ["over REST", "over gRPC, as a stream"];

/// The limits: ratio to the duration of COPY; milliseconds to the first object; MiB of memory.
const LIMITS: [f64; 3] = [6.0, 300.0, 64.0];

/// The duration of the whole list, and the time to its first object.
struct Took {
    whole: Duration,
    first: Duration,
}

/// One measurement over one protocol.
pub struct Measurement {
    took: Took,
    copy: Duration,
    /// The peak memory of the service, in MiB.
    peak: f64,
}

pub async fn measure(service: &Service) -> [Measurement; 2] {
    let sql = service.sql().await;
    let copy = copy_out(&sql, MILLION).await;
    service.forget_peak();
    let took = over_rest(service).await;
    let rest = Measurement { took, copy, peak: service.memory("VmHWM") };
    let copy = copy_out(&sql, MILLION).await;
    service.forget_peak();
    let took = over_grpc(service).await;
    [rest, Measurement { took, copy, peak: service.memory("VmHWM") }]
}

/// The parts of a JSON body that are kept for checks.
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

    /// Asserts that there are all objects, and that a child of the root is the first.
    fn check(&self) {
        let (begin, end) = (String::from_utf8_lossy(&self.begin), String::from_utf8_lossy(&self.end));
        let (first, _) = begin.split_once('}').expect("a first object");
        assert!(
            first.starts_with(BEGIN) && first.contains(&format!("\"parent_id\":\"{}\"", id(0))),
            "{begin}"
        );
        let total = MILLION - 1;
        assert!(end.ends_with(&format!("}}],\"has_more\":false,\"total\":{total}}}")), "{end}");
        // The list itself is an object, too.
        assert_eq!(self.objects, MILLION as usize);
    }
}

/// The number of `{`, which no text contains, and so the number of objects. Counting bytes can be vectorised,
/// so that the client adds little to the time that it measures.
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
    let (root, expected) = request_one(0);
    let (response, _) = caller.call(&rpc("GetCustomerGroup"), &root).await;
    assert!(is_group(&expected, &response), "{response:?}");

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

pub fn print(rounds: &[[Measurement; 2]]) {
    print_head(&[
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
    let [slower, late, large] = LIMITS.map(Limit::AtMost);
    for (face, name) in FACES.into_iter().enumerate() {
        let of = |figure: fn(&Measurement) -> f64| {
            Spread::of(rounds.iter().map(|measurements| figure(&measurements[face])))
        };
        let whole = of(|measure| measure.took.whole.as_secs_f64());
        let copy = of(|measure| measure.copy.as_secs_f64());
        let ratio = of(|measure| measure.took.whole.as_secs_f64() / measure.copy.as_secs_f64());
        let first = of(|measure| measure.took.first.as_secs_f64() * 1e3);
        let peak = of(|measure| measure.peak);
        print_row(&[
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
