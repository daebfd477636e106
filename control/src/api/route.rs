//! A row of the table of routes.

use std::future::Future;
use std::pin::Pin;

use axum::routing::MethodFilter;

use super::answer::Answer;
use super::call::Call;
use super::problem::Problem;
use super::schema::Of;
use crate::auth::Role;

/// Bytes of a body, where the route says nothing else.
const BODY_BYTES_MAX: usize = 256 << 10;

/// An endpoint at work.
pub(super) type Handling = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

/// Methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Delete,
    Get,
    Patch,
    Post,
    Put,
}

impl Verb {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Patch => "patch",
            Self::Post => "post",
            Self::Put => "put",
        }
    }

    pub(super) const fn filter(self) -> MethodFilter {
        match self {
            Self::Delete => MethodFilter::DELETE,
            Self::Get => MethodFilter::GET,
            Self::Patch => MethodFilter::PATCH,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
        }
    }
}

/// Which part of the scope a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scoped {
    /// None: the answer is cut to the scope, or the same for all.
    Any,
    /// All tenants and all regions.
    Everything,
    /// What the path of the configuration belongs to.
    Path,
    /// The region that the body names, or the thing stands in: the endpoint asks with [`Call::for_region`].
    Region,
    /// The subject that is asked for: the endpoint asks.
    Subject,
    /// The tenant in the path.
    Tenant,
}

/// What a parameter of the query may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum ParamKind {
    Flag,
    /// Least and greatest.
    Integer(u64, u64),
    /// Characters.
    Text(usize),
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: ParamKind,
    pub(super) about: &'static str,
}

/// What a body may be.
#[derive(Clone, Copy)]
pub(super) enum BodyKind {
    Bytes,
    Json(Of),
    /// RFC 7396.
    MergePatch,
    None,
}

/// An endpoint: who may call it, with what, and what it answers.
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    /// Name in the OpenAPI document: `noun.verb`.
    pub(super) id: &'static str,
    pub(super) role: Role,
    pub(super) scope: Scoped,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Param],
    pub(super) body: BodyKind,
    pub(super) body_bytes_max: usize,
    pub(super) status: u16,
    /// None: a stream.
    pub(super) answer: Option<Of>,
    /// Takes `If-Match`.
    pub(super) if_match: bool,
    pub(super) handle: fn(Call) -> Handling,
}

impl Route {
    /// Takes JSON, answers JSON with 200.
    pub(super) const fn new(
        verb: Verb,
        path: &'static str,
        id: &'static str,
        answer: Of,
        handle: fn(Call) -> Handling,
    ) -> Self {
        Self {
            verb,
            path,
            id,
            role: Role::Read,
            scope: Scoped::Everything,
            summary: "",
            query: &[],
            body: BodyKind::None,
            body_bytes_max: BODY_BYTES_MAX,
            status: 200,
            answer: Some(answer),
            if_match: false,
            handle,
        }
    }

    pub(super) const fn allow(mut self, role: Role, scope: Scoped) -> Self {
        (self.role, self.scope) = (role, scope);
        self
    }

    pub(super) const fn about(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    pub(super) const fn query(mut self, query: &'static [Param]) -> Self {
        self.query = query;
        self
    }

    pub(super) const fn body(mut self, of: Of) -> Self {
        self.body = BodyKind::Json(of);
        self
    }

    pub(super) const fn large(mut self, bytes_max: usize) -> Self {
        self.body_bytes_max = bytes_max;
        self
    }

    pub(super) const fn bytes(mut self) -> Self {
        self.body = BodyKind::Bytes;
        self
    }

    pub(super) const fn merges(mut self) -> Self {
        self.body = BodyKind::MergePatch;
        self
    }

    pub(super) const fn creates(mut self) -> Self {
        self.status = 201;
        self
    }

    pub(super) const fn matched(mut self) -> Self {
        self.if_match = true;
        self
    }

    pub(super) const fn streams(mut self) -> Self {
        self.answer = None;
        self
    }

    /// Whether it changes anything.
    pub(super) fn writes(&self) -> bool {
        self.verb != Verb::Get
    }
}
