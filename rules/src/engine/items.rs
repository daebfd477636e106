//! The values that a target stands for.

use super::store::{Entry, Id, Store};
use super::{Transaction, View};
use crate::compile::{Selector, Target};
use crate::variables::{RULE_FIELDS, STORED, Var};

/// What stands behind the colon of a value's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    None,
    Value(Id),
    /// A TX variable.
    Slot(u16),
}

/// A value to judge and where it is from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) var: Var,
    pub(crate) name: Name,
    pub(crate) value: Id,
}

impl Item {
    fn scalar(var: Var, value: Id) -> Self {
        let name = Name::None;
        Self { var, name, value }
    }
}

/// The stored variables behind one, and whether their names are the values.
#[inline]
pub(crate) fn stored(var: Var) -> (&'static [Var], bool) {
    const ARGS: &[Var] = &[Var::ArgsGet, Var::ArgsPost];
    match var {
        Var::Args => (ARGS, false),
        Var::ArgsNames => (ARGS, true),
        Var::ArgsGet | Var::ArgsGetNames => (&[Var::ArgsGet], var == Var::ArgsGetNames),
        Var::ArgsPost | Var::ArgsPostNames => (&[Var::ArgsPost], var == Var::ArgsPostNames),
        Var::RequestHeaders | Var::RequestHeadersNames => {
            (&[Var::RequestHeaders], var == Var::RequestHeadersNames)
        }
        Var::RequestCookies | Var::RequestCookiesNames => {
            (&[Var::RequestCookies], var == Var::RequestCookiesNames)
        }
        Var::ResponseHeaders | Var::ResponseHeadersNames => {
            (&[Var::ResponseHeaders], var == Var::ResponseHeadersNames)
        }
        Var::Files => (&[Var::Files], false),
        Var::FilesNames => (&[Var::FilesNames], false),
        Var::FilesSizes => (&[Var::FilesSizes], false),
        Var::FilesTmpContent => (&[Var::FilesTmpContent], false),
        Var::MultipartPartHeaders => (&[Var::MultipartPartHeaders], false),
        Var::XmlText => (&[Var::XmlText], false),
        Var::XmlAttributes => (&[Var::XmlAttributes], false),
        _ => (&[], false),
    }
}

pub(crate) fn selects(selector: &Selector, name: &[u8]) -> bool {
    match selector {
        Selector::All => true,
        Selector::Key(key) => name.eq_ignore_ascii_case(key),
        Selector::Regex(regex, _) => regex.is_match(name),
    }
}

/// Calls `found` for every entry that a target selects from stored collections.
pub(super) fn each_entry(store: &Store, target: &Target, mut found: impl FnMut(Entry, bool)) {
    let (sources, names) = stored(target.var);
    let all = matches!(target.selector, Selector::All);
    for source in sources {
        for entry in store.list(*source) {
            if all || selects(&target.selector, store.get(entry.name)) {
                found(*entry, names);
            }
        }
    }
}

/// The operator that values are collected for, so that those which it is known not to match are left out.
///
/// Safety argument. A value on which an operator does not match has no effect at all unless the operator is negated, and
/// for those there is no sieve. A value is left out only where the chain before the operator does not change it and the
/// mask of the value says that the operator cannot match: what `Transaction::test` would find.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sieve {
    /// The filter that knows the operator.
    pub(super) which: usize,
    pub(super) operator: usize,
    /// The rows of the chain before it, as bits.
    pub(super) chain: u64,
}

impl Sieve {
    /// What stands for no operator: every value passes.
    fn passes(sieve: Option<&Self>, store: &Store, value: Id) -> bool {
        sieve.is_none_or(|own| !store.is_refused(value, own.chain, own.which, own.operator))
    }
}

/// A regex selector whose pattern is a plain text: names are compared without the regex engine.
///
/// Safety argument. Only patterns of letters, digits, `_` and `-` are taken, behind `^` or not, and before `.*` or not,
/// which takes whatever is left. Such a pattern matches the names that begin with the text, or that hold it. The names
/// and the text are compared without regard to ASCII case, as selectors are.
enum PlainPattern<'a> {
    Begins(&'a [u8]),
    Holds(&'a [u8]),
}

impl<'a> PlainPattern<'a> {
    fn of(selector: &'a Selector) -> Option<Self> {
        let Selector::Regex(_, text) = selector else {
            return None;
        };
        let text = text.as_bytes();
        let (begins, text) = match text.strip_prefix(b"^") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.strip_suffix(b".*").unwrap_or(text);
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if text.is_empty() || !text.iter().all(is_plain) {
            return None;
        }
        Some(if begins {
            Self::Begins(text)
        } else {
            Self::Holds(text)
        })
    }

    fn selects(&self, name: &[u8]) -> bool {
        let has = |part: Option<&[u8]>, text: &[u8]| part.is_some_and(|p| p.eq_ignore_ascii_case(text));
        match self {
            Self::Begins(text) => has(name.get(..text.len()), text),
            Self::Holds(text) => name.windows(text.len()).any(|part| has(Some(part), text)),
        }
    }
}

impl Transaction {
    /// The bytes of a name.
    pub(super) fn name_of<'a>(&'a self, rules: View<'a>, name: Name) -> &'a [u8] {
        match name {
            Name::None => b"",
            Name::Value(id) => self.store.get(id),
            Name::Slot(slot) => rules.set.tx_name(slot),
        }
    }

    /// `ARGS:name`, as `MATCHED_VAR_NAME` has it.
    pub(super) fn full_name(&self, rules: View<'_>, item: &Item) -> Vec<u8> {
        let mut name = Vec::with_capacity(48);
        self.full_name_onto(rules, item, &mut name);
        name
    }

    /// Appends the full name.
    pub(super) fn full_name_onto(&self, rules: View<'_>, item: &Item, out: &mut Vec<u8>) {
        out.extend_from_slice(item.var.name().as_bytes());
        if !matches!(item.name, Name::None) {
            out.push(b':');
            out.extend_from_slice(self.name_of(rules, item.name));
        }
    }

    /// Whether a target stands for lists that have no entry. `present` is what `Store::present` says: no rule adds to lists
    /// or empties them, so it is so for the whole phase.
    #[inline]
    pub(super) fn is_absent(target: &Target, present: u64) -> bool {
        let lists = stored(target.var).0;
        let is_empty = |list: &Var| present >> (*list as u64) & 1 == 0;
        !target.count && !lists.is_empty() && lists.iter().all(is_empty)
    }

    /// Adds the values of a target to `items`, or their count.
    pub(super) fn collect(&mut self, rules: View<'_>, target: &Target, items: &mut Vec<Item>) {
        self.collect_for(rules, target, None, items);
    }

    /// The same, without values that the sieve's operator cannot match.
    pub(super) fn collect_for(
        &mut self,
        rules: View<'_>,
        target: &Target,
        sieve: Option<&Sieve>,
        items: &mut Vec<Item>,
    ) {
        let before = items.len();
        // A count is that of all values.
        self.values(rules, target, sieve.filter(|_| !target.count), items);
        if target.count {
            let count = items.len() - before;
            items.truncate(before);
            let value = self.store.add_number(i64::try_from(count).unwrap_or(i64::MAX));
            items.push(Item::scalar(target.var, value));
        }
    }

    fn values(&mut self, rules: View<'_>, target: &Target, sieve: Option<&Sieve>, items: &mut Vec<Item>) {
        let var = target.var;
        if !stored(var).0.is_empty() {
            return each_entry(&self.store, target, |entry, names| {
                let value = if names { entry.name } else { entry.value };
                if Sieve::passes(sieve, &self.store, value) {
                    let name = Name::Value(entry.name);
                    items.push(Item { var, name, value });
                }
            });
        }
        match var {
            Var::ArgsCombinedSize => {
                let store = &mut self.store;
                let all = store.list(Var::ArgsGet).iter().chain(store.list(Var::ArgsPost));
                let size: usize = all
                    .map(|e| store.get(e.name).len() + store.get(e.value).len())
                    .sum();
                let value = store.add_number(i64::try_from(size).unwrap_or(i64::MAX));
                items.push(Item::scalar(var, value));
            }
            Var::MatchedVar => items.push(Item::scalar(var, self.matched.map_or(0, |m| m.value))),
            Var::MatchedVarName => {
                let name = self
                    .matched
                    .map(|m| self.full_name(rules, &m))
                    .unwrap_or_default();
                let value = self.store.add(&name);
                items.push(Item::scalar(var, value));
            }
            Var::MatchedVars | Var::MatchedVarsNames => self.matched_values(rules, target, items),
            Var::Tx => self.tx_values(target, items),
            Var::Rule => self.rule_values(rules, target, items),
            _ if (var as usize) >= STORED && var.persistent().is_some() => {
                self.remembered_values(target, items)
            }
            _ => {
                let value = self.scalar(var);
                if let Some(value) = value.filter(|value| Sieve::passes(sieve, &self.store, *value)) {
                    items.push(Item::scalar(var, value));
                }
            }
        }
    }

    fn matched_values(&mut self, rules: View<'_>, target: &Target, items: &mut Vec<Item>) {
        for hit in self.buffers.hits.clone() {
            let name = self.full_name(rules, &hit);
            if selects(&target.selector, &name) {
                let name = self.store.add(&name);
                let names = target.var == Var::MatchedVarsNames;
                items.push(Item {
                    var: target.var,
                    name: Name::Value(name),
                    value: if names { name } else { hit.value },
                });
            }
        }
    }

    fn tx_values(&self, target: &Target, items: &mut Vec<Item>) {
        let item = |slot: u16, value: Id| Item {
            var: Var::Tx,
            name: Name::Slot(slot),
            value,
        };
        if let Some(slot) = target.slot {
            items.extend(self.store.tx_slot(slot).map(|value| item(slot, value)));
            return;
        }
        let set = target
            .slots
            .iter()
            .filter_map(|slot| Some((*slot, self.store.tx_slot(*slot)?)));
        items.extend(set.map(|(slot, value)| item(slot, value)));
        let plain = PlainPattern::of(&target.selector);
        let others = self.store.tx_other.iter().filter(|e| {
            let name = self.store.get(e.name);
            match &plain {
                Some(plain) => plain.selects(name),
                None => selects(&target.selector, name),
            }
        });
        items.extend(others.map(|e| Item {
            var: Var::Tx,
            name: Name::Value(e.name),
            value: e.value,
        }));
    }

    /// The value of a variable that is no collection. Those that few rules ask for are made when they are asked for.
    pub(super) fn scalar(&mut self, var: Var) -> Option<Id> {
        if let Some(known) = self.store.scalar(var) {
            return Some(known);
        }
        if let Some(now) = self.changing(var) {
            return now;
        }
        let connection = self.connection;
        let text = match var {
            Var::RemoteAddr => connection.client.to_string(),
            Var::RemotePort => connection.client_port.to_string(),
            Var::ServerAddr => connection.server.to_string(),
            Var::ServerPort => connection.server_port.to_string(),
            Var::UniqueId => format!("{:032x}", self.unique_id),
            _ => super::time::text(var, self.now_unix_ms)?,
        };
        self.store.set(var, text.as_bytes());
        self.store.scalar(var)
    }

    /// The value of a variable that is another at another time; `None` for one that is not of this kind.
    fn changing(&mut self, var: Var) -> Option<Option<Id>> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Some(match var {
            Var::Duration => {
                let now = self.clock_unix_ms.map_or(self.now_unix_ms, |clock| clock());
                let passed = now.saturating_sub(self.now_unix_ms);
                Some(self.store.add_number(number(passed)))
            }
            Var::HighestSeverity => Some(self.store.add_number(i64::from(self.highest_severity))),
            Var::FullRequest => Some(match self.full_request {
                Some(whole) => whole,
                None => self.whole_request(b""),
            }),
            Var::FullRequestLength => {
                let body = self.store.scalar(Var::RequestBodyLength);
                let body = body.map_or(0, |id| crate::operators::integer(self.store.get(id)));
                let head = i64::try_from(self.request_head().len()).unwrap_or(i64::MAX);
                Some(self.store.add_number(head.saturating_add(body)))
            }
            Var::SessionId | Var::UserId => {
                let of = if var == Var::UserId {
                    Var::User
                } else {
                    Var::Session
                };
                let key = self.opened(of).cloned();
                key.map(|key| self.store.add(&key))
            }
            Var::UrlencodedError => {
                let is_form = self.processor.as_deref() == Some("URLENCODED");
                let body = self.store.scalar(Var::RequestBody).filter(|_| is_form);
                let query = self.store.scalar(Var::QueryString);
                let broken = |id: Id| crate::operators::broken_url_encoding(self.store.get(id));
                let any = query.into_iter().chain(body).any(broken);
                Some(self.store.add_number(i64::from(any)))
            }
            _ => return None,
        })
    }

    /// Request line, fields and the empty line, as they were sent.
    fn request_head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(1024);
        if let Some(line) = self.store.scalar(Var::RequestLine) {
            head.extend_from_slice(self.store.get(line));
        }
        head.extend_from_slice(b"\r\n");
        for field in self.store.list(Var::RequestHeaders) {
            for part in [
                self.store.get(field.name),
                b": ",
                self.store.get(field.value),
                b"\r\n",
            ] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    pub(super) fn whole_request(&mut self, body: &[u8]) -> Id {
        let head = self.request_head();
        self.store.add_parts(&[&head, body])
    }

    /// A part of the rule that is running. Its texts are as they stand in it: they may ask for themselves.
    pub(super) fn rule_field(&self, rules: View<'_>, field: &[u8]) -> Option<Vec<u8>> {
        let rule = rules.program.rules.get(self.running)?;
        match field {
            b"id" => Some(rule.id.to_string().into_bytes()),
            b"logdata" => rule.data.as_ref().map(crate::compile::Macro::literal),
            b"msg" => rule.message.as_ref().map(crate::compile::Macro::literal),
            b"severity" => rule.severity.map(|severity| severity.to_string().into_bytes()),
            _ => None,
        }
    }

    fn rule_values(&mut self, rules: View<'_>, target: &Target, items: &mut Vec<Item>) {
        for field in RULE_FIELDS {
            let value = self.rule_field(rules, field.as_bytes());
            if let Some(value) = value.filter(|_| selects(&target.selector, field.as_bytes())) {
                let name = self.store.add(field.as_bytes());
                items.push(Item {
                    var: Var::Rule,
                    name: Name::Value(name),
                    value: self.store.add(&value),
                });
            }
        }
    }
}
