//! The windows over which events are counted, and the rules that alert on them: two tables.
//!
//! The rules are the multi-window, multi-burn-rate alerts of the SRE Workbook (chapter 5) for a budget of 30 days. A burn rate
//! of 1 spends the budget in exactly that time; 14.4 spends 2 % of it in an hour.

/// Length of the period that a budget is for.
pub const BUDGET_DAYS: u64 = 30;

/// Length of the cells in which a window is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// 3,600 s; kept for 30 days.
    Hour,
    /// 60 s; kept for 6 hours.
    Minute,
    /// 600 s; kept for 3 days.
    TenMinutes,
}

impl Grain {
    /// Seconds in a cell.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Hour => 3600,
            Self::Minute => 60,
            Self::TenMinutes => 600,
        }
    }
}

/// A time that ends now. It is counted in whole cells, the unfinished one included: over `seconds` when now is a multiple of
/// the grain, up to one cell less in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// As PromQL writes a duration.
    pub name: &'static str,
    /// Length.
    pub seconds: u64,
    /// Cells.
    pub grain: Grain,
}

impl Window {
    /// Cells in it.
    pub const fn cells(&self) -> u64 {
        self.seconds / self.grain.seconds()
    }
}

macro_rules! windows {
    ($($ident:ident $name:literal $seconds:literal $grain:ident;)*) => {
        /// A window by name: an index into [`WINDOWS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum WindowId {
            $(#[doc = $name] $ident,)*
        }

        /// All windows, the shortest first.
        pub const WINDOWS: &[Window] = &[$(Window { name: $name, seconds: $seconds, grain: Grain::$grain },)*];

        impl WindowId {
            /// All of them, in the order of [`WINDOWS`].
            pub const ALL: &[Self] = &[$(Self::$ident,)*];

            /// What it is.
            pub const fn window(self) -> Window {
                match self {
                    $(Self::$ident => Window { name: $name, seconds: $seconds, grain: Grain::$grain },)*
                }
            }
        }
    };
}

windows! {
    M5 "5m" 300 Minute;
    M30 "30m" 1800 Minute;
    H1 "1h" 3600 Minute;
    H2 "2h" 7200 Minute;
    H6 "6h" 21600 Minute;
    D1 "1d" 86400 TenMinutes;
    D3 "3d" 259200 TenMinutes;
    D30 "30d" 2592000 Hour;
}

/// How soon a person has to look; the more urgent is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// During working hours.
    Ticket,
    /// Now.
    Page,
}

impl Severity {
    /// Value of the label `severity`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// One alert: it fires while both windows burn faster than `burn_tenths` and the long one has seen `bad_min` bad events.
#[derive(Debug, PartialEq, Eq)]
pub struct BurnRule {
    /// Alert name.
    pub name: &'static str,
    /// Urgency.
    pub severity: Severity,
    /// Burn rate, in tenths: 144 is 14.4.
    pub burn_tenths: u64,
    /// Decides that the budget suffers.
    pub long: WindowId,
    /// Decides that it still does: the alert ends soon after the fault.
    pub short: WindowId,
    /// Bad events in the long window below which a ratio means nothing (`docs/slo.md` has the derivation).
    pub bad_min: u64,
    /// How long the condition must be false before a firing alert ends.
    pub keep_firing_s: u64,
}

/// Number of [`RULES`].
pub const RULE_COUNT: usize = 4;

/// All rules, the fastest first.
pub static RULES: [BurnRule; RULE_COUNT] = [
    rule(
        "WeirBudgetBurn1h",
        Severity::Page,
        144,
        WindowId::H1,
        WindowId::M5,
        8,
        120,
    ),
    rule(
        "WeirBudgetBurn6h",
        Severity::Page,
        60,
        WindowId::H6,
        WindowId::M30,
        12,
        120,
    ),
    rule(
        "WeirBudgetBurn1d",
        Severity::Ticket,
        30,
        WindowId::D1,
        WindowId::H2,
        12,
        600,
    ),
    rule(
        "WeirBudgetBurn3d",
        Severity::Ticket,
        10,
        WindowId::D3,
        WindowId::H6,
        12,
        600,
    ),
];

const fn rule(
    name: &'static str,
    severity: Severity,
    burn_tenths: u64,
    long: WindowId,
    short: WindowId,
    bad_min: u64,
    keep_firing_s: u64,
) -> BurnRule {
    BurnRule {
        name,
        severity,
        burn_tenths,
        long,
        short,
        bad_min,
        keep_firing_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_cells_in_ascending_order() {
        assert!(WINDOWS.iter().all(|w| w.seconds % w.grain.seconds() == 0));
        assert!(WINDOWS.is_sorted_by_key(|window| window.seconds));
        assert!(
            WindowId::ALL
                .iter()
                .zip(WINDOWS)
                .all(|(id, window)| id.window() == *window)
        );
    }

    #[test]
    fn a_rule_spends_what_the_workbook_says() {
        let spent_percent = RULES
            .iter()
            .map(|rule| rule.burn_tenths * 10 * rule.long.window().seconds / (BUDGET_DAYS * 86_400));
        assert_eq!(spent_percent.collect::<Vec<_>>(), [2, 5, 10, 10]);
    }
}
