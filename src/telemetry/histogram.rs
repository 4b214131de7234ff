//! Histograms of whole numbers with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};

/// Number of values per bucket. Several threads may record, but each thread should have its own histogram: two
/// atomic additions are cheap as long as no other thread writes there.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bound of each bucket but the last one, in ascending order.
    bounds: &'static [u64],
    /// One counter for each bucket. There is one bucket more than there are bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Creates an empty histogram. The bounds are the inclusive upper bounds in ascending order; larger values have
    /// a bucket of their own.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Records a value.
    pub fn record(&self, value: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }
}

/// The sum of several histograms with the same bounds, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    bounds: &'static [u64],
    buckets: Vec<u64>,
    sum: u64,
}

impl Counts {
    /// Adds the histograms up; `None` when there are none.
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Option<Self> {
        histograms.into_iter().fold(None, |counts: Option<Self>, Histogram { bounds, counts: added, sum }| {
            let mut counts =
                counts.unwrap_or_else(|| Self { bounds, buckets: vec![0; bounds.len() + 1], sum: 0 });
            for (count, added) in counts.buckets.iter_mut().zip(added) {
                *count += added.load(Ordering::Relaxed);
            }
            counts.sum += sum.load(Ordering::Relaxed);
            Some(counts)
        })
    }

    /// Returns each upper bound, `None` for the last bucket, with the number of values in the bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.buckets.iter().copied())
    }

    /// Returns the number of recorded values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the sum of all recorded values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_bucket_that_ends_with_it() {
        let (one, other) = (Histogram::new(&[1, 10]), Histogram::new(&[1, 10]));
        for value in [0, 1, 2, 10] {
            one.record(value);
        }
        other.record(11);
        let counts = Counts::of([&one, &other]).unwrap();
        assert_eq!(counts.buckets().collect::<Vec<_>>(), [(Some(1), 2), (Some(10), 2), (None, 1)]);
        assert_eq!((counts.total(), counts.sum()), (5, 24));
        assert_eq!(Counts::of([]), None);
    }
}
