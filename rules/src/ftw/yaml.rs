//! YAML to a small tree. Everything plain stays text: a suite has no other types that matter.

use granit_parser::{Event, Parser};

/// Deepest nesting of a suite; the format needs 8.
const DEPTH_MAX: usize = 32;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }
}

enum Open {
    List(Vec<Node>),
    Map(Vec<(String, Node)>, Option<String>),
}

/// Reads one document; an empty one is `None`.
///
/// # Errors
/// What is wrong, with its line. Aliases are refused: no suite uses them, and they may grow without bound.
pub(super) fn parse(text: &str) -> Result<Option<Node>, String> {
    let mut options =
        granit_parser::options! { flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    options.set_emit_comments(false);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|e| format!("line {}: {}", e.marker().line(), e.info()))?;
        let done = match event {
            Event::Scalar(text, ..) => Some(Node::Text(text.into())),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|closed| match closed {
                Open::List(items) => Node::List(items),
                Open::Map(entries, _) => Node::Map(entries),
            }),
            Event::Alias(_) => return Err(format!("line {}: aliases are not supported", span.start.line())),
            _ => None,
        };
        let Some(node) = done else { continue };
        match open.last_mut() {
            None => root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(entries, pending)) => match (pending.take(), node) {
                (Some(key), node) => entries.push((key, node)),
                (None, Node::Text(key)) => *pending = Some(key),
                (None, _) => return Err(format!("line {}: a key must be text", span.start.line())),
            },
        }
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::{Node, parse};

    #[test]
    fn maps_lists_and_blocks_are_read() {
        let tree = parse("a:\n  - b: 1\n    c: |-\n      x\n      y\n")
            .unwrap()
            .unwrap();
        let item = &tree.get("a").unwrap().items()[0];
        assert_eq!(item.get("b").and_then(Node::text), Some("1"));
        assert_eq!(item.get("c").and_then(Node::text), Some("x\ny"));
        assert_eq!(parse("").unwrap(), None);
        assert!(parse("a: &x [1]\nb: *x\n").is_err());
    }
}
