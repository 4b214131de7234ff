//! Identifiers and instants.
//!
//! An id is a UUIDv7 (RFC 9562) written as a prefix, `_`, and 26 characters: the UUID's 128 bits in
//! lower-case Crockford base32, the suffix encoding of the [TypeID specification][typeid].
//!
//! [typeid]: https://github.com/jetify-com/typeid/blob/main/spec/README.md

use std::fmt;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::id_generator;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_LENGTH: usize = 26;

/// 26 characters of the alphabet: 130 bits, so the first one carries only three.
const SUFFIX_PATTERN: &str = "[0-7][0-9a-hjkmnp-tv-z]{25}";

/// The value of each byte in the alphabet.
const VALUES: [u8; 256] = {
    let mut values = [NO_VALUE; 256];
    let mut value: u8 = 0;
    while (value as usize) < ALPHABET.len() {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};
const NO_VALUE: u8 = u8::MAX;

/// An instant in UTC, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The time of the system's clock.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now())
    }

    /// The time after a duration; the last time of the calendar if it is beyond.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration).unwrap_or(jiff::Timestamp::MAX))
    }

    /// The whole seconds since the Unix epoch.
    pub(crate) fn seconds(self) -> i64 {
        self.0.as_second()
    }

    /// The nanoseconds after [`Timestamp::seconds`], a multiple of 1,000,000.
    pub(crate) fn nanoseconds(self) -> i32 {
        self.0.subsec_nanosecond()
    }

    /// The whole milliseconds since the Unix epoch.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The inverse of [`Timestamp::milliseconds`]; `None` outside of the years -9999 to 9999.
    pub(crate) fn from_milliseconds(milliseconds: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(milliseconds).ok().map(Self)
    }

    /// Parses RFC 3339; `None` for other texts, and for times finer than milliseconds.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        (time.subsec_nanosecond() % 1_000_000 == 0).then_some(Self(time))
    }

    fn of_uuid(uuid: Uuid) -> Self {
        // The first 48 bits of a UUIDv7 are milliseconds since the Unix epoch. They reach to the year 10889, and
        // RFC 3339 only to 9999.
        let milliseconds = i64::try_from(uuid.as_u128() >> 80).unwrap_or(i64::MAX);
        Self(jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX))
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = jiff::Error;

    /// Fails outside of the range of the system's times.
    fn try_from(timestamp: Timestamp) -> Result<Self, jiff::Error> {
        timestamp.0.try_into()
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = jiff::Error;

    /// Cuts the time to its millisecond. Fails outside of the years -9999 to 9999.
    fn try_from(time: SystemTime) -> Result<Self, jiff::Error> {
        let milliseconds = jiff::Timestamp::try_from(time)?.as_millisecond();
        jiff::Timestamp::from_millisecond(milliseconds).map(Self)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with three decimals: `2024-01-15T09:30:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// Defines an id type with its prefix.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The regular expression of the ids.
            #[allow(dead_code, reason = "only the ids of groups are described")]
            pub(crate) fn pattern() -> String {
                [concat!($prefix, "_"), SUFFIX_PATTERN].concat()
            }

            /// Generates an id. Within a process each is greater than the ones before it, even if the clock stops
            /// or goes back, unless it goes back by more than ten seconds.
            #[must_use]
            pub fn generate() -> Self {
                Self(id_generator::generate())
            }

            /// Parses an id; `None` for any text that this service cannot have generated.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::from_uuid(decode(text.strip_prefix(concat!($prefix, "_"))?)?)
            }

            /// Converts a stored UUID; `None` if it is not a UUIDv7.
            #[must_use]
            pub fn from_uuid(uuid: Uuid) -> Option<Self> {
                let is_valid = uuid.get_version_num() == 7
                    && uuid.get_variant() == uuid::Variant::RFC4122
                    && Timestamp::of_uuid(uuid).0 < jiff::Timestamp::MAX;
                is_valid.then_some(Self(uuid))
            }

            /// The UUID to store.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }

            /// The creation time: the millisecond inside the id.
            #[must_use]
            pub fn created_at(self) -> Timestamp {
                Timestamp::of_uuid(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(Suffix::of(self.0).as_str())
            }
        }
    };
}

id_type! {
    /// The id of a customer group: `customer-group_` and 26 characters. Ids sort, as text and as UUIDs,
    /// in the order of their creation.
    GroupId, "customer-group"
}

id_type! {
    /// The id by which an API key is listed and revoked: `key_` and 26 characters. It is not secret.
    KeyId, "key"
}

/// Generates a request id: `req_` and 26 characters.
#[must_use]
pub fn request_id() -> String {
    ["req_", Suffix::of(Uuid::new_v4()).as_str()].concat()
}

/// The 26 characters, in ASCII.
struct Suffix([u8; SUFFIX_LENGTH]);

impl Suffix {
    fn of(uuid: Uuid) -> Self {
        let mut bits = uuid.as_u128();
        let mut characters = [0; SUFFIX_LENGTH];
        for character in characters.iter_mut().rev() {
            *character = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        Self(characters)
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn decode(suffix: &str) -> Option<Uuid> {
    if suffix.len() != SUFFIX_LENGTH || suffix.as_bytes()[0] > b'7' {
        return None;
    }
    let bits = suffix.bytes().try_fold(0_u128, |bits, byte| {
        let value = VALUES[usize::from(byte)];
        (value != NO_VALUE).then_some(bits << 5 | u128::from(value))
    })?;
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_is_the_one_of_the_typeid_specification() {
        // From the specification's list of valid ids.
        for (suffix, uuid) in [
            ("00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
            ("0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
            ("7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ("01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ] {
            let uuid: Uuid = uuid.parse().unwrap();
            assert_eq!(Suffix::of(uuid).as_str(), suffix);
            assert_eq!(decode(suffix), Some(uuid));
        }
    }

    #[test]
    fn the_pattern_has_the_alphabet() {
        let class = SUFFIX_PATTERN.strip_prefix("[0-7][").unwrap().strip_suffix("]{25}").unwrap();
        let is_in = |byte: u8| {
            let range = |ends: &[u8]| ends[1] == b'-' && (ends[0]..=ends[2]).contains(&byte);
            class.as_bytes().windows(3).any(range) || byte != b'-' && class.as_bytes().contains(&byte)
        };
        assert_eq!((0..=u8::MAX).filter(|byte| is_in(*byte)).collect::<Vec<_>>(), ALPHABET);
    }

    #[test]
    fn a_suffix_over_128_bits_is_no_id() {
        assert_eq!(decode("8zzzzzzzzzzzzzzzzzzzzzzzzz"), None);
    }

    #[test]
    fn an_id_is_read_back_as_it_was_written() {
        let id = GroupId::generate();
        assert_eq!(GroupId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn ids_sort_in_the_order_of_creation_as_text_too() {
        let ids: Vec<String> = (0..10_000).map(|_| GroupId::generate().to_string()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn only_ids_that_the_service_could_have_made_are_ids() {
        for text in [
            "",
            "customer-group_",
            "customer-group_abc123",
            "customer-group_01H455VB4PEX5VSKNK084SN02Q",
            "customer-group_01h455vb4pex5vsknk084sn02l",
            "customer-group_01h455vb4pex5vsknk084sn02qq",
            "customer-group_ 1h455vb4pex5vsknk084sn02q",
            "customer-group_é1h455vb4pex5vsknk084sn02",
            "01h455vb4pex5vsknk084sn02q",
            "key_01h455vb4pex5vsknk084sn02q",
            // Not version 7, not the variant of the RFC, and a time out of the range of RFC 3339.
            "customer-group_00000000000000000000000000",
            "customer-group_7zzzzzzzzzzzzzzzzzzzzzzzzz",
            "customer-group_7zzzzzzzzzey89zzzzzzzzzzzz",
        ] {
            assert_eq!(GroupId::parse(text), None, "{text:?}");
        }
        assert!(GroupId::parse("customer-group_01h455vb4pex5vsknk084sn02q").is_some());
    }

    #[test]
    fn a_timestamp_is_written_with_three_decimals() {
        let id = GroupId::parse("customer-group_01h455vb4pex5vsknk084sn02q").unwrap();
        assert_eq!(id.created_at().to_string(), "2023-06-30T03:34:18.518Z");
    }
}
