//! The generator of ids: UUIDv7 (RFC 9562, section 5.7) in the order of their creation.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// The bits of a UUIDv7 after its milliseconds, without version and variant.
const RANDOM_BITS: u32 = 74;

/// The bits in the last part of a UUID, after the variant.
const LAST_BITS: u32 = 62;

/// By how much newer ids may be ahead of the clock before they are left behind, in milliseconds. Clocks of replicas
/// differ by less; a jump of the clock is larger.
pub(super) const MAX_LEAD: u128 = 10_000;

static GENERATOR: Mutex<Generator> = Mutex::new(Generator { last: 0 });

/// The milliseconds and random bits of the newest id.
#[derive(Debug)]
struct Generator {
    last: u128,
}

/// Generates an id that is greater than all before it, also when the clock stops or goes back a little. When it goes
/// back by more than 10 s, the ids return to the clock, and a warning is logged.
pub(super) fn generate() -> Uuid {
    let (now, random) = (now(), Uuid::new_v4().as_u128());
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lead) = generator.lead(now) {
        tracing::warn!(
            milliseconds = lead,
            "the newest id is ahead of the clock; new groups are listed below those that were created then"
        );
    }
    generator.next(now, random)
}

/// Makes all further ids greater than one that is stored, unless it is too far ahead of the clock. Warns if it is ahead.
/// Returns the id below which others may be followed, if this one is not.
pub(crate) fn follow(stored: Uuid) -> Option<Uuid> {
    let (now, stored) = (now(), sortable(stored));
    let lead = (stored >> RANDOM_BITS).saturating_sub(now);
    if lead > 0 {
        tracing::warn!(
            milliseconds = u64::try_from(lead).unwrap_or(u64::MAX),
            "the newest group was created by a clock that is ahead of this one; synchronise the clocks of all replicas"
        );
    }
    if lead > MAX_LEAD {
        return Some(uuid((now + MAX_LEAD) << RANDOM_BITS));
    }
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    generator.last = generator.last.max(stored);
    None
}

impl Generator {
    /// Returns by how much the newest id is ahead of the clock, in milliseconds, if that is too much.
    fn lead(&self, now: u128) -> Option<u64> {
        let lead = (self.last >> RANDOM_BITS).saturating_sub(now);
        (lead > MAX_LEAD).then(|| u64::try_from(lead).unwrap_or(u64::MAX))
    }

    fn next(&mut self, now: u128, random: u128) -> Uuid {
        let of_now = now << RANDOM_BITS | random >> (u128::BITS - RANDOM_BITS);
        // Ids of one millisecond differ by random numbers, so that one does not show the next.
        let step = 1 + (random & u128::from(u32::MAX));
        self.last = match self.lead(now) {
            Some(_) => of_now,
            None => of_now.max(self.last + step),
        };
        uuid(self.last)
    }
}

/// The milliseconds of the clock since 1970; 0 before.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis())
}

/// Adds version and variant.
fn uuid(sortable: u128) -> Uuid {
    const VERSION: u128 = 7 << 76;
    const VARIANT: u128 = 0b10 << LAST_BITS;
    let (first, last) = (sortable >> LAST_BITS, sortable & ((1 << LAST_BITS) - 1));
    Uuid::from_u128(first >> 12 << 80 | VERSION | (first & 0xfff) << 64 | VARIANT | last)
}

/// The inverse of [`uuid`].
fn sortable(uuid: Uuid) -> u128 {
    let bits = uuid.as_u128();
    let first = bits >> 80 << 12 | bits >> 64 & 0xfff;
    first << LAST_BITS | bits & ((1 << LAST_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u128 = 1_700_000_000_000;
    const DAY: u128 = 86_400_000;

    fn milliseconds(uuid: Uuid) -> u128 {
        uuid.as_u128() >> 80
    }

    #[test]
    fn an_id_has_the_time_of_the_clock_and_the_form_of_uuid_version_7() {
        let mut generator = Generator { last: 0 };
        let id = generator.next(NOON, u128::MAX);
        assert_eq!((milliseconds(id), id.get_version_num()), (NOON, 7));
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(uuid(sortable(id)), id);
    }

    #[test]
    fn ids_grow_while_the_clock_stands_or_goes_back_a_little() {
        let mut generator = Generator { last: 0 };
        let mut last = generator.next(NOON, 0);
        for (now, random) in
            [(NOON, 0), (NOON, u128::MAX / 2), (NOON, 0), (NOON - MAX_LEAD, 0), (NOON + 1, 0)]
        {
            let next = generator.next(now, random);
            assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn after_a_jump_of_the_clock_the_ids_return_to_it() {
        let mut generator = Generator { last: 0 };
        let tomorrow = generator.next(NOON + DAY, 0);
        assert_eq!(milliseconds(tomorrow), NOON + DAY);
        assert_eq!(generator.lead(NOON), Some(86_400_000));
        let first = generator.next(NOON, 0);
        assert_eq!((milliseconds(first), generator.lead(NOON)), (NOON, None));
        assert!(generator.next(NOON, 0) > first);
    }

    #[test]
    fn a_clock_before_1970_counts_as_1970() {
        assert_eq!(milliseconds(Generator { last: 0 }.next(0, 1)), 0);
    }
}
