//! Instants on the clock of an engine.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// An instant on an engine's clock: nanoseconds since an origin that the engine chooses.
///
/// Two engines have two origins: a moment means nothing outside the engine that gave it. 64 bits of nanoseconds reach
/// 584 years from the origin; later instants are cut off there, so a sleep of `Duration::MAX` is one that never ends.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The origin of the clock.
    pub const ORIGIN: Moment = Moment(0);

    /// The last instant that can be told.
    pub const END: Moment = Moment(u64::MAX);

    /// The instant `nanoseconds` after the origin.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Moment {
        Moment(nanoseconds)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanoseconds(self) -> u64 {
        self.0
    }

    /// How long ago the origin was.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time from `earlier` to this instant; zero if `earlier` is the later one.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, delay: Duration) -> Moment {
        let nanoseconds = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanoseconds))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.since_origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_saturates_at_the_end() {
        assert_eq!(Moment::ORIGIN + Duration::MAX, Moment::END);
        assert_eq!(Moment::END + Duration::from_secs(1), Moment::END);
    }

    #[test]
    fn the_distance_is_never_negative() {
        let (early, late) = (Moment::from_nanoseconds(5), Moment::from_nanoseconds(9));
        assert_eq!(late.since(early), Duration::from_nanos(4));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
