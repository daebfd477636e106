//! Fills the engine again after a restart.

use std::collections::HashMap;

use weir_plan::slo::{Counts, Sample, SeriesId};

use super::{SERIES, SloBook};
use crate::store::{RollupQuery, StoreError};

/// Hours and, for the last of them, minutes: as the windows want them.
const HOURS_MS: u64 = 30 * 86_400_000;
const MINUTES_MS: u64 = 6 * 3_600_000;
/// Rows read at once.
const ROWS: usize = 10_000;

impl SloBook {
    /// What was counted before: minutes of the last hours, hours before that. Which of two seconds in a minute an event fell into
    /// is lost; no window of a rule is that short.
    pub(super) fn restore(&self, now_s: u64) -> Result<(), StoreError> {
        let now_ms = now_s * 1000;
        let hour_ms = SERIES[1].1;
        // Whole hours, so that no event is in both.
        let border = now_ms.saturating_sub(MINUTES_MS) / hour_ms * hour_ms;
        let mut known: HashMap<String, Option<SeriesId>> = HashMap::new();
        for ((series, length_ms), since_ms, until_ms) in [
            (SERIES[1], now_ms.saturating_sub(HOURS_MS), border),
            (SERIES[0], border, now_ms),
        ] {
            let mut query = RollupQuery {
                series: series.to_owned(),
                key: None,
                since_ms,
                until_ms,
                after: None,
                limit: ROWS,
            };
            loop {
                let rows = self.store.rollups(&query)?;
                let Some(last) = rows.last() else { break };
                query.after = Some((last.bucket_ms, last.key.clone()));
                for row in &rows {
                    let id = match known.get(&row.key) {
                        Some(id) => *id,
                        None => {
                            let id = self.series(&row.key).map(|(id, _)| id);
                            known.insert(row.key.clone(), id);
                            id
                        }
                    };
                    let Some(series) = id else { continue };
                    let value = |place: usize| {
                        let value = row.values.get(place).copied().unwrap_or(0);
                        u64::try_from(value).unwrap_or(0)
                    };
                    let sample = Sample {
                        series,
                        second: ((row.bucket_ms + length_ms / 2) / 1000).min(now_s.saturating_sub(1)),
                        counts: Counts {
                            events: value(0),
                            bad: [value(1).min(value(0)), value(2).min(value(0))],
                        },
                    };
                    // What is too old to be held is no loss.
                    let _ = self.state().engine.restore(now_s, &sample);
                }
                if rows.len() < ROWS {
                    break;
                }
            }
        }
        Ok(())
    }
}
