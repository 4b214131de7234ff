//! Counts of whole numbers by their size, which cost whoever counts next to nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many numbers fell into which range. It may be counted into by several threads, but is meant for one: a number
/// costs two atomic additions, which are cheap as long as no other thread has written there.
#[derive(Debug)]
pub struct Histogram {
    /// The largest number of each range but the last one, in ascending order.
    bounds: &'static [u64],
    /// One more than bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Without a number in it. The bounds are the largest numbers of each range, in ascending order; what is larger
    /// than all of them has a range of its own.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a number.
    pub fn count(&self, number: u64) {
        let range = self.bounds.iter().position(|bound| number <= *bound).unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get(range) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(number, Ordering::Relaxed);
    }
}

/// What several histograms with the same bounds hold together, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    bounds: &'static [u64],
    ranges: Vec<u64>,
    sum: u64,
}

impl Counts {
    /// Of those histograms; `None` when there are none.
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Option<Self> {
        histograms.into_iter().fold(None, |counts: Option<Self>, histogram| {
            let Histogram { bounds, .. } = histogram;
            let mut counts =
                counts.unwrap_or_else(|| Self { bounds, ranges: vec![0; bounds.len() + 1], sum: 0 });
            for (count, further) in counts.ranges.iter_mut().zip(&histogram.counts) {
                *count += further.load(Ordering::Relaxed);
            }
            counts.sum += histogram.sum.load(Ordering::Relaxed);
            Some(counts)
        })
    }

    /// The largest number of each range with how many fell into it; `None` for the one without a largest number.
    pub fn ranges(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.ranges.iter().copied())
    }

    /// How many numbers were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ranges.iter().sum()
    }

    /// All numbers added up.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_counted_in_the_range_that_ends_with_it() {
        let (one, other) = (Histogram::new(&[1, 10]), Histogram::new(&[1, 10]));
        for number in [0, 1, 2, 10] {
            one.count(number);
        }
        other.count(11);
        let counts = Counts::of([&one, &other]).unwrap();
        assert_eq!(counts.ranges().collect::<Vec<_>>(), [(Some(1), 2), (Some(10), 2), (None, 1)]);
        assert_eq!((counts.total(), counts.sum()), (5, 24));
        assert_eq!(Counts::of([]), None);
    }
}
