//! `initcol`, `setvar`, `expirevar` and `deprecatevar` of persistent collections.

use super::directives::Builder;
use super::{Change, Effect, Macro};
use crate::seclang::{Action, nearest};
use crate::variables::{PERSISTENT, Var};

/// Fields that ModSecurity makes itself in every record.
const MADE: &[&str] = &[
    "create_time",
    "is_new",
    "key",
    "last_update_time",
    "timeout",
    "update_counter",
    "update_rate",
];

/// Why a variable of a persistent collection cannot be read.
pub(super) fn refused(var: Var, key: &str) -> Option<String> {
    let made = var.persistent().is_some() && MADE.iter().any(|made| made.eq_ignore_ascii_case(key));
    made.then(|| {
        format!(
            "`{}:{key}` is refused: records have no fields of their own; count with `setvar`, keep times with \
             `setvar:...=%{{TIME_EPOCH}}`",
            var.name()
        )
    })
}

impl Builder<'_> {
    /// A part of an action's value, with its macros.
    pub(super) fn part(&mut self, action: &Action, text: &str) -> Option<Macro> {
        match Macro::parse(text, &mut |name| self.intern(name)) {
            Ok(text) => Some(text),
            Err(e) => {
                self.found.push(action.place.error("bad_macro", e));
                None
            }
        }
    }

    /// What `setvar` does to its variable.
    pub(super) fn change(&mut self, action: &Action, value: Option<&str>, unset: bool) -> Option<Change> {
        Some(match value {
            _ if unset => Change::Unset,
            None => Change::Set(self.part(action, "1")?),
            Some(v) => match v.as_bytes() {
                [b'+', ..] => Change::Add(self.part(action, v.get(1..)?)?),
                [b'-', ..] => Change::Subtract(self.part(action, v.get(1..)?)?),
                _ => Change::Set(self.part(action, v)?),
            },
        })
    }

    /// The persistent collection of a name; `None` with an error if there is no such.
    pub(super) fn persistent(&mut self, action: &Action, name: &str) -> Option<Var> {
        let var = Var::named(name.trim()).filter(|var| var.persistent().is_some());
        if var.is_none() {
            let why = if name.trim().eq_ignore_ascii_case("tx") {
                ": what is in TX ends with the request"
            } else {
                ""
            };
            let message = format!("`{}` is no persistent collection{why}", name.trim());
            let hint = nearest(name, PERSISTENT.iter().map(|var| var.name()));
            self.found
                .push(action.place.error_hint("unknown_collection", message, hint));
        }
        var
    }

    /// `initcol:ip=KEY`, `setuid:KEY`, `setsid:KEY`, `setrsc:KEY`.
    pub(super) fn open(&mut self, action: &Action) -> Option<Effect> {
        let value = action.value.as_deref()?;
        let (var, key) = match action.name.to_ascii_lowercase().as_str() {
            "setuid" => (Var::User, value),
            "setsid" => (Var::Session, value),
            "setrsc" => (Var::Resource, value),
            _ => {
                let (name, key) = value.split_once('=')?;
                (self.persistent(action, name)?, key)
            }
        };
        Some(Effect::Open(var, self.part(action, key)?))
    }

    /// `setvar` of anything but TX.
    pub(super) fn keep(
        &mut self,
        action: &Action,
        var: Var,
        key: &str,
        value: Option<&str>,
        unset: bool,
    ) -> Option<Effect> {
        let change = self.change(action, value, unset)?;
        Some(Effect::Keep(var, self.part(action, key)?, change))
    }

    /// `expirevar:ip.name=SECONDS`.
    pub(super) fn expire(&mut self, action: &Action) -> Option<Effect> {
        let (name, seconds) = action.value.as_deref()?.split_once('=')?;
        let (collection, key) = name.split_once('.')?;
        let var = self.persistent(action, collection)?;
        let (key, seconds) = (self.part(action, key)?, self.part(action, seconds.trim())?);
        let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        if seconds.constant().is_some_and(|text| !is_number(text)) {
            return None;
        }
        Some(Effect::Expire(var, key, seconds))
    }

    /// `deprecatevar:ip.name=AMOUNT/SECONDS`.
    pub(super) fn decay(&mut self, action: &Action) -> Option<Effect> {
        let (name, rate) = action.value.as_deref()?.split_once('=')?;
        let (collection, key) = name.split_once('.')?;
        let var = self.persistent(action, collection)?;
        let (amount, seconds) = rate.split_once('/')?;
        let amount = amount.trim().parse().ok().filter(|amount| *amount > 0)?;
        let seconds = seconds.trim().parse().ok().filter(|seconds| *seconds > 0)?;
        Some(Effect::Decay(var, self.part(action, key)?, amount, seconds))
    }
}
