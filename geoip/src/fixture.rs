//! A writer of small MMDB files for tests, after the MaxMind DB file format specification 2.0.

use std::collections::HashMap;

use ipnet::IpNet;

/// Build time in the metadata, seconds since 1970.
pub const BUILD_EPOCH: u64 = 1_780_000_000;

/// How records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// `country_code` and `asn` at the top, as in the npm country files.
    Flat,
    /// `country.iso_code`, `continent.code` and `autonomous_system_number`, as MaxMind has them.
    Nested,
}

/// A network and what is known about it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The network; a later entry overrides an earlier one that it lies in.
    pub net: IpNet,
    /// ISO code.
    pub country: Option<String>,
    /// Autonomous system number; 0 writes none.
    pub asn: u32,
}

impl Entry {
    /// An entry with a country.
    ///
    /// # Panics
    /// When `net` is no network: fixtures are written by hand.
    #[allow(clippy::expect_used)]
    pub fn new(net: &str, country: &str, asn: u32) -> Self {
        Self {
            net: net.parse().expect("a network such as 192.0.2.0/24"),
            country: Some(country.to_owned()),
            asn,
        }
    }
}

#[derive(Clone, Copy)]
enum Child {
    Empty,
    Node(usize),
    Data(usize),
}

/// The bytes of a database with these entries; `None` when it would not fit records of 24 bits.
pub fn write(entries: &[Entry], schema: Schema) -> Option<Vec<u8>> {
    let mut tree: Vec<[Child; 2]> = vec![[Child::Empty; 2]];
    let mut data = Vec::new();
    let mut offsets: HashMap<Vec<u8>, usize> = HashMap::new();
    for entry in entries {
        let record = record(entry, schema);
        let offset = *offsets.entry(record).or_insert_with_key(|record| {
            let offset = data.len();
            data.extend_from_slice(record);
            offset
        });
        insert(&mut tree, entry.net, offset)?;
    }
    let nodes = tree.len();
    let mut file = Vec::new();
    for children in &tree {
        for child in children {
            let value = match child {
                Child::Empty => nodes,
                Child::Node(at) => *at,
                Child::Data(offset) => nodes + 16 + offset,
            };
            let value = u32::try_from(value).ok().filter(|value| *value < 1 << 24)?;
            file.extend_from_slice(value.to_be_bytes().get(1..)?);
        }
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut file, u32::try_from(nodes).ok()?);
    Some(file)
}

fn insert(tree: &mut Vec<[Child; 2]>, net: IpNet, offset: usize) -> Option<()> {
    let (bits, length) = match net {
        IpNet::V4(v4) => (
            u128::from(u32::from(v4.network())),
            96 + u32::from(v4.prefix_len()),
        ),
        IpNet::V6(v6) => (u128::from(v6.network()), u32::from(v6.prefix_len())),
    };
    let mut at = 0;
    for depth in 0..length {
        let side = usize::from((bits >> (127 - depth)) & 1 == 1);
        let child = *tree.get(at)?.get(side)?;
        if depth + 1 == length {
            *tree.get_mut(at)?.get_mut(side)? = Child::Data(offset);
            return Some(());
        }
        at = match child {
            Child::Node(next) => next,
            // What was said of the whole is kept for the halves.
            Child::Empty | Child::Data(_) => {
                tree.push([child; 2]);
                let next = tree.len() - 1;
                *tree.get_mut(at)?.get_mut(side)? = Child::Node(next);
                next
            }
        };
    }
    None
}

fn record(entry: &Entry, schema: Schema) -> Vec<u8> {
    let mut fields: Vec<(&str, Vec<u8>)> = Vec::new();
    if let Some(country) = &entry.country {
        match schema {
            Schema::Flat => fields.push(("country_code", string(country))),
            Schema::Nested => {
                fields.push(("country", map(&[("iso_code", string(country))])));
                let code = <[u8; 2]>::try_from(country.as_bytes())
                    .ok()
                    .and_then(crate::continent_of);
                if let Some(code) = code {
                    fields.push((
                        "continent",
                        map(&[("code", string(&String::from_utf8_lossy(&code)))]),
                    ));
                }
            }
        }
    }
    if entry.asn != 0 {
        let name = if schema == Schema::Flat {
            "asn"
        } else {
            "autonomous_system_number"
        };
        fields.push((name, unsigned(6, u64::from(entry.asn), 4)));
    }
    map(&fields)
}

fn metadata(file: &mut Vec<u8>, nodes: u32) {
    file.extend(map(&[
        ("binary_format_major_version", unsigned(5, 2, 2)),
        ("binary_format_minor_version", unsigned(5, 0, 2)),
        ("build_epoch", unsigned(9, BUILD_EPOCH, 8)),
        ("database_type", string("weir fixture")),
        // Empty, as in the published country files.
        ("description", map(&[])),
        ("ip_version", unsigned(5, 6, 2)),
        ("languages", vec![0, 4]),
        ("node_count", unsigned(6, u64::from(nodes), 4)),
        ("record_size", unsigned(5, 24, 2)),
    ]));
}

/// A control byte; sizes above 28 are not needed for fixtures and are cut.
fn control(kind: u8, size: usize) -> Vec<u8> {
    let size = u8::try_from(size.min(28)).unwrap_or(28);
    if kind < 8 {
        vec![(kind << 5) | size]
    } else {
        vec![size, kind - 7]
    }
}

fn string(text: &str) -> Vec<u8> {
    let text: String = text.chars().take(28).collect();
    let mut out = control(2, text.len());
    out.extend_from_slice(text.as_bytes());
    out
}

fn unsigned(kind: u8, value: u64, bytes: usize) -> Vec<u8> {
    let mut out = control(kind, bytes);
    out.extend(value.to_be_bytes().iter().skip(8_usize.saturating_sub(bytes)));
    out
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = control(7, fields.len());
    for (name, value) in fields {
        out.extend(string(name));
        out.extend_from_slice(value);
    }
    out
}
