//! When an endpoint counts as healthy: results in a row, so that one lost check does not flap it.

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Requests go to it again.
    BecameHealthy,
    /// No more requests go to it.
    BecameUnhealthy,
}

/// State of the checks of one endpoint. It starts healthy, so that a restart does not wait for checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    healthy: bool,
    /// Results in a row that contradict `healthy`.
    against: u32,
    unhealthy_after: u32,
    healthy_after: u32,
}

impl Health {
    /// Healthy, with the number of results in a row that change it; 0 counts as 1.
    pub fn new(unhealthy_after: u32, healthy_after: u32) -> Self {
        Self {
            healthy: true,
            against: 0,
            unhealthy_after: unhealthy_after.max(1),
            healthy_after: healthy_after.max(1),
        }
    }

    /// Whether requests may go to it.
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Takes the result of a check.
    pub fn observe(&mut self, ok: bool) -> Option<Transition> {
        if ok == self.healthy {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.healthy {
            self.unhealthy_after
        } else {
            self.healthy_after
        };
        if self.against < needed {
            return None;
        }
        self.healthy = ok;
        self.against = 0;
        Some(if ok {
            Transition::BecameHealthy
        } else {
            Transition::BecameUnhealthy
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_results_in_a_row_count() {
        let mut health = Health::new(3, 2);
        let seen: Vec<_> = [false, false, true, false, false, false, true, false, true, true]
            .map(|ok| health.observe(ok))
            .into_iter()
            .enumerate()
            .filter_map(|(at, change)| Some((at, change?)))
            .collect();
        assert_eq!(
            seen,
            [(5, Transition::BecameUnhealthy), (9, Transition::BecameHealthy)]
        );
        assert!(health.is_healthy());
    }
}
