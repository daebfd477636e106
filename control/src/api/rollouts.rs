//! Rollouts: versions on their way through the regions, and the policy of the next ones.

use serde_json::{Value, json};
use weir_plan::rollout::Policy;

use super::answer::Answer;
use super::call::Call;
use super::page::{limit, page};
use super::problem::{Code, Fault, Problem};
use crate::store::{IfMatch, Kind};

/// The record of the policy.
const POLICY: &str = "rollout_policy";

/// `GET /v1/rollouts`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let rollouts = call
        .parts()
        .rollouts
        .history(call.query.integer("after"), limit(&call) + 1)?;
    page(&call, rollouts, |rollout| rollout.revision.to_string())
}

/// `GET /v1/rollouts/current`
pub(super) async fn current(call: Call) -> Result<Answer, Problem> {
    let rollouts = &call.parts().rollouts;
    let current = rollouts.current();
    let current = current
        .ok_or_else(|| Problem::new(Code::NotFound, "nothing was rolled out since control started"))?;
    Answer::ok(&json!({"rollout": current, "regions": rollouts.seen()}))
}

/// `POST /v1/rollouts/halt`
pub(super) async fn halt(mut call: Call) -> Result<Answer, Problem> {
    let rollouts = std::sync::Arc::clone(&call.parts().rollouts);
    let over = || Problem::new(Code::Conflict, "no rollout is under way");
    if call.dry_run {
        let current = rollouts.current().filter(|current| !current.state.is_over());
        return Answer::ok(&current.ok_or_else(over)?);
    }
    let halted = rollouts.halt(&call.actor).await?.map_err(|_| over())?;
    let answer = Answer::ok(&halted)?;
    call.keep(answer).await
}

fn policy_etag(call: &Call) -> Result<u64, Problem> {
    Ok(call
        .parts()
        .store
        .get(Kind::Meta, POLICY)?
        .map_or(0, |record| record.etag))
}

/// `GET /v1/rollout-policy`
pub(super) async fn policy(call: Call) -> Result<Answer, Problem> {
    let etag = policy_etag(&call)?;
    Ok(Answer::ok(&call.parts().rollouts.policy())?.with_etag(etag))
}

/// `PUT /v1/rollout-policy`
pub(super) async fn set_policy(call: Call) -> Result<Answer, Problem> {
    let policy: Policy = call.json()?;
    match call.required_match()? {
        IfMatch::Etag(etag) if etag != policy_etag(&call)? => {
            return Err(Problem::new(
                Code::PreconditionFailed,
                "it was changed since: read it again",
            ));
        }
        _ => {}
    }
    let faults = |errors: Vec<weir_plan::rollout::PolicyError>| {
        let faults = errors.iter().map(|error| Fault {
            pointer: Some(String::new()),
            parameter: None,
            detail: error.to_string(),
            code: None,
        });
        Problem::faults(Code::Invalid, faults.collect())
    };
    if call.dry_run {
        policy.check().map_err(faults)?;
    } else {
        let rollouts = std::sync::Arc::clone(&call.parts().rollouts);
        rollouts
            .set_policy(policy.clone(), &call.actor)
            .await?
            .map_err(faults)?;
    }
    let policy: Value = json!(policy);
    Ok(Answer::ok(&policy)?.with_etag(policy_etag(&call)?))
}
