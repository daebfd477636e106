//! The document as a tree of values that know their place. JSON is read as the YAML that it is.

use std::collections::HashMap;
use std::fmt::Write as _;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::error::{At, ConfigError};

/// Most bytes of a document.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// Deepest nesting; the format itself needs 8.
const DEPTH_MAX: usize = 32;
/// Most keys of one map; the format's own maps have at most 17.
const KEYS_MAX: usize = 1000;
/// Most values that aliases may add to a document.
const ALIAS_NODES_MAX: usize = 100_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) kind: Kind,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i128),
    /// As written; no key takes one.
    Float(Box<str>),
    Text(Box<str>),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: Box<str>,
    line: u32,
    column: u32,
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(key, _)| &*key.text == name)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The items of a list; none for any other value.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Line and column of a pointer's value (of its last key with `of_key`), or of the nearest value around it.
    pub(super) fn position(&self, pointer: &str, of_key: bool) -> (u32, u32) {
        let mut node = self;
        let mut position = (node.line, node.column);
        for segment in pointer.split('/').skip(1) {
            let name = segment.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                // The last of equal keys is the one too many.
                Kind::Map(entries) => {
                    entries
                        .iter()
                        .rev()
                        .find(|(key, _)| *key.text == *name)
                        .map(|(key, value)| {
                            let at = if of_key {
                                (key.line, key.column)
                            } else {
                                (value.line, value.column)
                            };
                            (at, value)
                        })
                }
                Kind::List(items) => name
                    .parse()
                    .ok()
                    .and_then(|place: usize| items.get(place))
                    .map(|item| ((item.line, item.column), item)),
                _ => None,
            };
            let Some((at, value)) = next else { break };
            (position, node) = (at, value);
        }
        position
    }

    /// Writes the value as JSON without spaces and with sorted keys.
    pub(super) fn canonical(&self, out: &mut String) {
        match &self.kind {
            Kind::Null => out.push_str("null"),
            Kind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Kind::Int(value) => {
                let _infallible = write!(out, "{value}");
            }
            Kind::Float(text) | Kind::Text(text) => quote(text, out),
            Kind::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    item.canonical(out);
                }
                out.push(']');
            }
            Kind::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.0.text.cmp(&b.0.text));
                out.push('{');
                for (place, (key, value)) in sorted.into_iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    quote(&key.text, out);
                    out.push(':');
                    value.canonical(out);
                }
                out.push('}');
            }
        }
    }

    fn count(&self) -> usize {
        match &self.kind {
            Kind::List(items) => items.iter().map(Self::count).sum::<usize>() + 1,
            Kind::Map(entries) => entries.iter().map(|(_, node)| node.count()).sum::<usize>() + 1,
            _ => 1,
        }
    }

    fn depth(&self) -> usize {
        match &self.kind {
            Kind::List(items) => items.iter().map(Self::depth).max().unwrap_or(0) + 1,
            Kind::Map(entries) => entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0) + 1,
            _ => 1,
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Reads a document.
///
/// # Errors
/// One error: after bad syntax nothing that follows can be trusted.
pub(super) fn parse(text: &str) -> Result<Node, ConfigError> {
    if text.len() > BYTES_MAX {
        let message = format!("the document has {} bytes", text.len());
        return Err(fault(
            None,
            "too_large",
            message,
            Some(format!("at most {BYTES_MAX}")),
        ));
    }
    let mut options =
        granit_parser::options! { flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    options.set_emit_comments(false);
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let at = (number(error.marker().line()), number(error.marker().col() + 1));
            fault(
                Some(at),
                "syntax",
                error.info(),
                Some("the document is YAML or JSON".to_owned()),
            )
        })?;
        reader.event(event, &span)?;
    }
    reader.root.ok_or_else(|| {
        fault(
            None,
            "syntax",
            "the document is empty",
            Some("it needs at least `version: 1`".to_owned()),
        )
    })
}

fn fault(
    at: Option<(u32, u32)>,
    code: &'static str,
    message: impl Into<String>,
    hint: Option<String>,
) -> ConfigError {
    let (line, column) = at.unzip();
    ConfigError {
        pointer: At::Root.pointer(),
        line,
        column,
        code,
        message: message.into(),
        hint,
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A list or map that is not closed yet.
struct Open {
    line: u32,
    column: u32,
    anchor: usize,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

#[derive(Default)]
struct Reader {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize, usize)>,
    alias_nodes: usize,
    documents: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), ConfigError> {
        let at = (number(span.start.line()), number(span.start.col() + 1));
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(fault(
                        Some(at),
                        "syntax",
                        "a second document starts here",
                        Some("one file is one document".to_owned()),
                    ));
                }
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => {
                return Err(fault(
                    Some(at),
                    "syntax",
                    "tags are not allowed",
                    Some("remove the `!` tag".to_owned()),
                ));
            }
            Event::Scalar(text, style, anchor, None) => {
                let kind = if style == ScalarStyle::Plain {
                    plain(&text)
                } else {
                    Kind::Text(text.into())
                };
                self.node(
                    Node {
                        line: at.0,
                        column: at.1,
                        kind,
                    },
                    anchor,
                )?;
            }
            Event::SequenceStart(_, anchor, None) => self.begin(at, anchor, Body::List(Vec::new()))?,
            Event::MappingStart(_, anchor, None) => self.begin(at, anchor, Body::Map(Vec::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open {
                    line,
                    column,
                    anchor,
                    body,
                }) = self.open.pop()
                {
                    let kind = match body {
                        Body::List(items) => Kind::List(items),
                        Body::Map(entries, _) => Kind::Map(entries),
                    };
                    self.node(Node { line, column, kind }, anchor)?;
                }
            }
            Event::Alias(id) => self.alias(id, at)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, at: (u32, u32), anchor: usize, body: Body) -> Result<(), ConfigError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(fault(
                Some(at),
                "too_deep",
                "the document is nested too deeply",
                Some(format!("at most {DEPTH_MAX} levels")),
            ));
        }
        self.open.push(Open {
            line: at.0,
            column: at.1,
            anchor,
            body,
        });
        Ok(())
    }

    fn alias(&mut self, id: usize, at: (u32, u32)) -> Result<(), ConfigError> {
        let Some((node, count, depth)) = self.anchors.get(&id) else {
            return Err(fault(
                Some(at),
                "syntax",
                "the alias is inside the value that it names",
                None,
            ));
        };
        self.alias_nodes = self.alias_nodes.saturating_add(*count);
        if self.alias_nodes > ALIAS_NODES_MAX || self.open.len() + depth > DEPTH_MAX {
            let hint = format!(
                "at most {ALIAS_NODES_MAX} values may come from aliases, nested at most {DEPTH_MAX} deep"
            );
            return Err(fault(
                Some(at),
                "alias_limit",
                "aliases make the document too large",
                Some(hint),
            ));
        }
        let node = Node {
            line: at.0,
            column: at.1,
            kind: node.kind.clone(),
        };
        self.node(node, 0)
    }

    fn node(&mut self, node: Node, anchor: usize) -> Result<(), ConfigError> {
        if anchor > 0 {
            // An anchored value is held twice, so it counts like an alias.
            let (count, depth) = (node.count(), node.depth());
            self.alias_nodes = self.alias_nodes.saturating_add(count);
            if self.alias_nodes > ALIAS_NODES_MAX {
                let at = (node.line, node.column);
                return Err(fault(
                    Some(at),
                    "alias_limit",
                    "the anchored values are too large",
                    None,
                ));
            }
            self.anchors.insert(anchor, (node.clone(), count, depth));
        }
        match self.open.last_mut().map(|open| &mut open.body) {
            None => self.root = Some(node),
            Some(Body::List(items)) => items.push(node),
            Some(Body::Map(entries, pending)) => match pending.take() {
                Some(_) if entries.len() >= KEYS_MAX => {
                    let at = (node.line, node.column);
                    let hint = Some(format!("at most {KEYS_MAX}"));
                    return Err(fault(Some(at), "too_large", "a map has too many keys", hint));
                }
                Some(key) => entries.push((key, node)),
                None => *pending = Some(key(node)?),
            },
        }
        Ok(())
    }
}

fn key(node: Node) -> Result<Key, ConfigError> {
    let (line, column) = (node.line, node.column);
    let text = match node.kind {
        Kind::Text(text) | Kind::Float(text) => text,
        Kind::Int(value) => value.to_string().into(),
        Kind::Bool(value) => value.to_string().into(),
        Kind::Null => "".into(),
        Kind::List(_) | Kind::Map(_) => {
            return Err(fault(Some((line, column)), "syntax", "a key must be text", None));
        }
    };
    Ok(Key { text, line, column })
}

/// The core schema of YAML 1.2.2, section 10.3.2.
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_or_else(|_| Kind::Float(text.into()), Kind::Int);
    }
    let based = text
        .strip_prefix("0x")
        .map(|rest| (rest, 16))
        .or_else(|| text.strip_prefix("0o").map(|rest| (rest, 8)));
    if let Some((rest, radix)) = based
        && !rest.starts_with(['+', '-'])
        && let Ok(value) = i128::from_str_radix(rest, radix)
    {
        return Kind::Int(value);
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|b| b.is_ascii_digit());
    let shaped = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if (numeric && shaped && text.parse::<f64>().is_ok())
        || matches!(digits, ".inf" | ".Inf" | ".INF")
        || matches!(text, ".nan" | ".NaN" | ".NAN")
    {
        return Kind::Float(text.into());
    }
    Kind::Text(text.into())
}
