//! Persistent collections as rules see them: which records the request has opened, what is read and written there.

use std::sync::Arc;

use super::items::{Item, Name, selects};
use super::store::Id;
use super::{Transaction, View};
use crate::collections::{Collections, Write};
use crate::compile::{Change, Effect, Selector, Target};
use crate::operators::integer;
use crate::variables::Var;

impl Transaction {
    /// Makes the request be about one record of a collection. An empty key opens nothing.
    pub(super) fn open(&mut self, var: Var, key: &[u8]) {
        let place = var.persistent().and_then(|at| self.opened.get_mut(at));
        if let Some(opened) = place {
            *opened = (!key.is_empty()).then(|| Collections::key(key));
        }
    }

    pub(super) fn opened(&self, var: Var) -> Option<&Arc<[u8]>> {
        self.opened.get(var.persistent()?)?.as_ref()
    }

    /// Does to a record what a rule says; without an opened record, nothing.
    pub(super) fn keep(&mut self, rules: View<'_>, effect: &Effect) {
        let (Effect::Keep(var, name, _) | Effect::Expire(var, name, _) | Effect::Decay(var, name, ..)) =
            effect
        else {
            return;
        };
        let Some(key) = self.opened(*var).cloned() else {
            return;
        };
        let name = self.expand(rules, name).to_ascii_lowercase();
        let text = match effect {
            Effect::Keep(_, _, Change::Set(text) | Change::Add(text) | Change::Subtract(text))
            | Effect::Expire(_, _, text) => self.expand(rules, text),
            _ => Vec::new(),
        };
        let write = match effect {
            Effect::Keep(_, _, Change::Set(_)) => Write::Set(&text),
            Effect::Keep(_, _, Change::Add(_)) => Write::Add(integer(&text)),
            Effect::Keep(_, _, Change::Subtract(_)) => Write::Add(integer(&text).saturating_neg()),
            Effect::Expire(..) => Write::Expire(u64::try_from(integer(&text)).unwrap_or(0)),
            Effect::Decay(_, _, amount, seconds) => Write::Decay {
                amount: *amount,
                seconds: *seconds,
            },
            _ => Write::Unset,
        };
        let collections = self.collections.get_or_insert_with(Arc::default);
        collections.write(*var, &key, &name, write, self.now_unix_ms);
    }

    /// The value of one variable.
    pub(super) fn remembered(&mut self, var: Var, name: &[u8]) -> Option<Id> {
        let (key, collections) = (self.opened(var)?, self.collections.as_ref()?);
        let mut value = None;
        collections.each(var, key, self.now_unix_ms, |known, text| {
            if known.eq_ignore_ascii_case(name) {
                value = Some(text.to_vec());
            }
        });
        value.map(|value| self.store.add(&value))
    }

    /// Adds the variables that a target selects.
    pub(super) fn remembered_values(&mut self, target: &Target, items: &mut Vec<Item>) {
        let (Some(key), Some(collections)) = (self.opened(target.var).cloned(), self.collections.clone())
        else {
            return;
        };
        let (var, store) = (target.var, &mut self.store);
        collections.each(var, &key, self.now_unix_ms, |name, value| {
            if selects(&target.selector, name) {
                let name = match &target.selector {
                    // As the rule writes it.
                    Selector::Key(key) => store.add(key),
                    _ => store.add(name),
                };
                items.push(Item {
                    var,
                    name: Name::Value(name),
                    value: store.add(value),
                });
            }
        });
    }
}
