//! The two spans that are shown, and how finely they are counted per tenant.

use serde::Serialize;

/// How time is cut into slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grain {
    /// Seconds of a slot.
    pub(super) seconds: u64,
    /// Slots that are kept.
    pub(super) slots: u64,
}

/// Slots of the last minute: the one that is running and six before it.
pub(super) const SHORT: Grain = Grain {
    seconds: 10,
    slots: 7,
};
/// Slots of the last ten minutes: the one that is running and five before it.
pub(super) const LONG: Grain = Grain {
    seconds: 120,
    slots: 6,
};
/// Seconds for the frames of a second to come in.
pub(super) const SETTLE_S: u64 = 2;

const _: () = assert!((SHORT.slots - 1) * SHORT.seconds >= 60);
const _: () = assert!((LONG.slots - 1) * LONG.seconds >= 600);

impl Grain {
    pub(super) const fn slot(self, second: u64) -> u64 {
        second / self.seconds
    }

    /// The first slot of all that are kept.
    const fn first_slot(self, now_s: u64) -> u64 {
        (now_s / self.seconds + 1).saturating_sub(self.slots)
    }
}

/// How far back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::dashboard) enum Span {
    /// A minute: 60 to 70 seconds.
    #[default]
    Minute,
    /// Ten minutes: 10 to 12.
    TenMinutes,
}

impl Span {
    const fn grain(self) -> Grain {
        match self {
            Self::Minute => SHORT,
            Self::TenMinutes => LONG,
        }
    }

    /// Its first slot.
    pub(super) const fn first_slot(self, now_s: u64) -> u64 {
        self.grain().first_slot(now_s)
    }

    /// Seconds that it covers, of those since `since_s`. It ends with the newest second that was counted, `newest_s`; at the
    /// latest now, and not before the frames of that time should have come.
    pub(super) fn seconds(self, now_s: u64, since_s: u64, newest_s: u64) -> u64 {
        let from_s = (self.first_slot(now_s) * self.grain().seconds).max(since_s);
        let end_s = (newest_s + 1).clamp(now_s.saturating_sub(SETTLE_S), now_s);
        end_s.saturating_sub(from_s).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_what_they_say_at_any_second() {
        for now_s in 1_000_000..1_000_240 {
            assert!((58..=70).contains(&Span::Minute.seconds(now_s, 0, 0)));
            assert!((598..=720).contains(&Span::TenMinutes.seconds(now_s, 0, 0)));
            assert_eq!(Span::Minute.seconds(now_s, now_s - 12, 0), 10);
            assert_eq!(Span::Minute.seconds(now_s, now_s - 12, now_s - 2), 11);
            assert_eq!(Span::Minute.seconds(now_s, now_s - 12, now_s + 5), 12);
        }
        assert_eq!(Span::Minute.seconds(0, 0, 0), 1);
    }
}
