//! Which route of a tenant a request takes.

use std::collections::HashMap;

use weir_schema::config::checked::{HeaderMatch, PathMatch, Route};

use crate::Field;
use crate::path::normalise;

/// The routes of a tenant, compiled. The first that matches wins.
///
/// Routes are indexed by the first segment of their path, since a path can only be matched by routes of its own first
/// segment and by those for everything.
#[derive(Clone, Debug)]
pub struct RouteTable {
    routes: Vec<Compiled>,
    by_segment: HashMap<Box<[u8]>, Vec<usize>>,
    everywhere: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Compiled {
    hosts: Vec<HostMatch>,
    exact: bool,
    path: Box<[u8]>,
    methods: Vec<Box<[u8]>>,
    headers: Vec<HeaderMatch>,
}

#[derive(Clone, Debug)]
enum HostMatch {
    Any,
    Exact(Box<[u8]>),
    /// With its leading dot.
    Suffix(Box<[u8]>),
}

impl RouteTable {
    /// Compiles routes; the results of [`Self::matches`] are positions in this slice.
    pub fn build(routes: &[Route]) -> Self {
        let mut table = Self {
            routes: Vec::with_capacity(routes.len()),
            by_segment: HashMap::new(),
            everywhere: Vec::new(),
        };
        for (at, route) in routes.iter().enumerate() {
            let compiled = Compiled::new(route);
            if !compiled.exact && &*compiled.path == b"/" {
                table.everywhere.push(at);
            } else {
                table
                    .by_segment
                    .entry(first_segment(&compiled.path).into())
                    .or_default()
                    .push(at);
            }
            table.routes.push(compiled);
        }
        table
    }

    /// The first route that takes the request. `host` and `path` are in normal form.
    pub fn matches(&self, host: &[u8], path: &[u8], method: &[u8], fields: &[Field<'_>]) -> Option<usize> {
        let own = self
            .by_segment
            .get(first_segment(path))
            .map_or(&[][..], Vec::as_slice);
        let takes = |at: &&usize| {
            self.routes
                .get(**at)
                .is_some_and(|route| route.takes(host, path, method, fields))
        };
        let (own, everywhere) = (own.iter().find(takes), self.everywhere.iter().find(takes));
        own.into_iter().chain(everywhere).min().copied()
    }
}

impl Compiled {
    fn new(route: &Route) -> Self {
        let (exact, path) = match &route.path {
            PathMatch::Exact(path) => (true, path),
            PathMatch::Prefix(path) => (false, path),
        };
        let host = |host: &String| match host.strip_prefix('*') {
            Some("") => HostMatch::Any,
            Some(suffix) => HostMatch::Suffix(suffix.to_ascii_lowercase().as_bytes().into()),
            None => HostMatch::Exact(host.to_ascii_lowercase().as_bytes().into()),
        };
        Self {
            hosts: route.hosts.iter().map(host).collect(),
            exact,
            path: normalise(path.as_bytes()).into(),
            methods: route
                .methods
                .iter()
                .map(|method| method.as_bytes().into())
                .collect(),
            headers: route.headers.clone(),
        }
    }

    fn takes(&self, host: &[u8], path: &[u8], method: &[u8], fields: &[Field<'_>]) -> bool {
        self.takes_path(path)
            && (self.methods.is_empty() || self.methods.iter().any(|known| **known == *method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|known| known.takes(host)))
            && self.headers.iter().all(|wanted| holds(wanted, fields))
    }

    fn takes_path(&self, path: &[u8]) -> bool {
        if self.exact {
            return *self.path == *path;
        }
        if &*self.path == b"/" {
            return true;
        }
        match path.strip_prefix(&*self.path) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/") || self.path.ends_with(b"/"),
            None => false,
        }
    }
}

impl HostMatch {
    fn takes(&self, host: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(known) => **known == *host,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        }
    }
}

fn holds(wanted: &HeaderMatch, fields: &[Field<'_>]) -> bool {
    fields.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(wanted.name.as_bytes())
            && wanted
                .value
                .as_ref()
                .is_none_or(|wanted| wanted.as_bytes() == *value)
    })
}

fn first_segment(path: &[u8]) -> &[u8] {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::ids::{PoolId, RouteId};

    fn route(path: PathMatch) -> Route {
        Route {
            id: RouteId::new("r").unwrap(),
            hosts: Vec::new(),
            path,
            methods: Vec::new(),
            headers: Vec::new(),
            pool: PoolId::new("p").unwrap(),
            limit: None,
            timeout: None,
            upgrade: false,
            retry_idempotency_key: false,
            body_bytes_max: None,
        }
    }

    fn prefix(path: &str) -> Route {
        route(PathMatch::Prefix(path.to_owned()))
    }

    #[test]
    fn first_match_wins_and_prefixes_end_at_segments() {
        let table = RouteTable::build(&[
            route(PathMatch::Exact("/a".to_owned())),
            prefix("/a/b"),
            prefix("/"),
            prefix("/a"),
            prefix("/c/"),
        ]);
        for (path, expected) in [
            ("/a", 0),
            ("/a/b", 1),
            ("/a/b/c", 1),
            ("/a/bc", 2),
            ("/a/x", 2),
            ("/ab", 2),
            ("/c/d", 2),
            ("*", 2),
        ] {
            assert_eq!(
                table.matches(b"h", path.as_bytes(), b"GET", &[]),
                Some(expected),
                "{path}"
            );
        }
        let table = RouteTable::build(&[prefix("/c/")]);
        assert_eq!(table.matches(b"h", b"/c/d", b"GET", &[]), Some(0));
        assert_eq!(table.matches(b"h", b"/c", b"GET", &[]), None);
        assert_eq!(table.matches(b"h", b"/cd", b"GET", &[]), None);
    }

    #[test]
    fn every_condition_must_hold() {
        let beta = HeaderMatch {
            name: "x-beta".to_owned(),
            value: Some("1".to_owned()),
        };
        let any = HeaderMatch {
            name: "x-any".to_owned(),
            value: None,
        };
        let table = RouteTable::build(&[Route {
            hosts: vec!["api.test".to_owned(), "*.eu.test".to_owned()],
            methods: vec!["GET".to_owned()],
            headers: vec![beta, any],
            ..prefix("/")
        }]);
        let good: &[Field<'_>] = &[(b"X-Beta", b"0"), (b"X-Beta", b"1"), (b"x-any", b"")];
        assert_eq!(table.matches(b"api.test", b"/", b"GET", good), Some(0));
        assert_eq!(table.matches(b"a.eu.test", b"/", b"GET", good), Some(0));
        assert_eq!(table.matches(b"eu.test", b"/", b"GET", good), None);
        assert_eq!(table.matches(b"www.test", b"/", b"GET", good), None);
        assert_eq!(table.matches(b"api.test", b"/", b"get", good), None);
        assert_eq!(table.matches(b"api.test", b"/", b"GET", &good[1..2]), None);
        assert_eq!(
            table.matches(b"api.test", b"/", b"GET", &[(b"x-beta", b"0"), (b"x-any", b"")]),
            None
        );
    }

    proptest::proptest! {
        #[test]
        fn the_index_changes_nothing(
            paths in proptest::collection::vec(("(/[ab]{0,2}){1,3}", proptest::bool::ANY), 0..12),
            path in "(/[ab]{0,2}){1,4}",
        ) {
            let routes: Vec<Route> = paths
                .into_iter()
                .map(|(path, exact)| route(if exact { PathMatch::Exact(path) } else { PathMatch::Prefix(path) }))
                .collect();
            let path = normalise(path.as_bytes());
            let linear = routes.iter().position(|route| Compiled::new(route).takes_path(&path));
            proptest::prop_assert_eq!(RouteTable::build(&routes).matches(b"h", &path, b"GET", &[]), linear);
        }
    }
}
