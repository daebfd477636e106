//! The table of routes: the router, the OpenAPI document and the test of roles are made from it.

use super::config::{AppliedDocument, ConfigEntry};
use super::config_change::ConfigChange;
use super::events::{ACTION, ACTOR, EventDocument, NEWEST_FIRST, SINCE, SUBJECT, UNTIL};
use super::page::{AFTER, AFTER_NUMBER, PAGE_SIZE};
use super::proxies::{CreatedProxy, NewProxy, Proxy, Region};
use super::route::{Param, ParamKind, Route, Scoped, Verb};
use super::schema::{any, of, page_of};
use super::tenants::{Migration, NewTenant, Tenant};
use super::tiers::{NewTier, Tier};
use super::tokens::{CreatedToken, NewToken, Token};
use super::usage::{REGION, ROUTE, STEP, TenantUsage};
use super::versions::{PathChange, Rollback, Version};
use super::{
    config, config_change, events, proxies, rollouts, tenants, tiers, tokens, usage, versions, watch,
};
use crate::auth::Role;

/// Bytes of a change of the configuration.
const CHANGE_BYTES_MAX: usize = 128 << 20;
/// Bytes of a tenant.
const TENANT_BYTES_MAX: usize = 4 << 20;

const PREFIX: Param = Param {
    name: "prefix",
    kind: ParamKind::Text(512),
    about: "Paths that begin so.",
};
const AGAINST: Param = Param {
    name: "against",
    kind: ParamKind::Integer(0, i64::MAX.cast_unsigned()),
    about: "The other revision; the parent if not given, 0 is none.",
};

/// Every route.
pub(super) static ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "/v1/config",
        "config.list",
        page_of::<ConfigEntry>,
        |call| Box::pin(config::list(call)),
    )
    .allow(Role::Read, Scoped::Any)
    .query(&[PREFIX, PAGE_SIZE, AFTER])
    .about("Paths of the newest version, those in the token's scope. The ETag is the revision."),
    Route::new(
        Verb::Post,
        "/v1/config/changes",
        "config.change",
        of::<AppliedDocument>,
        |call| Box::pin(config_change::create(call)),
    )
    .allow(Role::Operate, Scoped::Subject)
    .body(of::<ConfigChange>)
    .large(CHANGE_BYTES_MAX)
    .matched()
    .about("Change many paths at once; one version, or none."),
    Route::new(
        Verb::Get,
        "/v1/config/{*path}",
        "config.get",
        of::<ConfigEntry>,
        |call| Box::pin(config::get(call)),
    )
    .allow(Role::Read, Scoped::Path)
    .about("A path of the newest version. The ETag is the revision."),
    Route::new(
        Verb::Put,
        "/v1/config/{*path}",
        "config.put",
        of::<AppliedDocument>,
        |call| Box::pin(config::put(call)),
    )
    .allow(Role::Operate, Scoped::Path)
    .query(&[config::NOTE, config::EMERGENCY])
    .bytes()
    .large(CHANGE_BYTES_MAX)
    .matched()
    .about("Write a path: a document as JSON, a file as bytes."),
    Route::new(
        Verb::Delete,
        "/v1/config/{*path}",
        "config.delete",
        of::<AppliedDocument>,
        |call| Box::pin(config::delete(call)),
    )
    .allow(Role::Operate, Scoped::Path)
    .query(&[config::NOTE, config::EMERGENCY])
    .matched()
    .about("Remove a path."),
    Route::new(
        Verb::Get,
        "/v1/events",
        "event.list",
        page_of::<EventDocument>,
        |call| Box::pin(events::list(call)),
    )
    .allow(Role::Read, Scoped::Subject)
    .query(&[
        ACTION,
        ACTOR,
        SUBJECT,
        SINCE,
        UNTIL,
        NEWEST_FIRST,
        PAGE_SIZE,
        AFTER_NUMBER,
    ])
    .about("What was done or refused, by whom, when, from where."),
    Route::new(
        Verb::Get,
        "/v1/events/watch",
        "event.watch",
        of::<EventDocument>,
        |call| Box::pin(watch::watch(call)),
    )
    .allow(Role::Read, Scoped::Subject)
    .query(&[ACTION, ACTOR, SUBJECT, AFTER_NUMBER])
    .streams()
    .about("Events as they come, as text/event-stream; `Last-Event-ID` goes on where a stream ended."),
    Route::new(Verb::Get, "/v1/openapi.json", "api.describe", any, |call| {
        Box::pin(versions::openapi(call))
    })
    .allow(Role::Read, Scoped::Any)
    .about("This document."),
    Route::new(Verb::Get, "/v1/proxies", "proxy.list", page_of::<Proxy>, |call| {
        Box::pin(proxies::list(call))
    })
    .allow(Role::Read, Scoped::Any)
    .query(&[PAGE_SIZE, AFTER])
    .about("Proxies of the token's regions, with what they serve."),
    Route::new(
        Verb::Post,
        "/v1/proxies",
        "proxy.create",
        of::<CreatedProxy>,
        |call| Box::pin(proxies::create(call)),
    )
    .allow(Role::Operate, Scoped::Region)
    .body(of::<NewProxy>)
    .creates()
    .about("Let a proxy in. Its join token is in this answer only."),
    Route::new(Verb::Get, "/v1/proxies/{id}", "proxy.get", of::<Proxy>, |call| {
        Box::pin(proxies::get(call))
    })
    .allow(Role::Read, Scoped::Region)
    .about("A proxy."),
    Route::new(
        Verb::Post,
        "/v1/proxies/{id}/revoke",
        "proxy.revoke",
        of::<Proxy>,
        |call| Box::pin(proxies::revoke(call)),
    )
    .allow(Role::Operate, Scoped::Region)
    .matched()
    .about("A proxy may not join any more; it serves on what it has."),
    Route::new(
        Verb::Get,
        "/v1/regions",
        "region.list",
        page_of::<Region>,
        |call| Box::pin(proxies::regions(call)),
    )
    .allow(Role::Read, Scoped::Any)
    .query(&[PAGE_SIZE, AFTER])
    .about("Regions of the token where proxies were seen."),
    Route::new(
        Verb::Get,
        "/v1/rollout-policy",
        "rollout_policy.get",
        any,
        |call| Box::pin(rollouts::policy(call)),
    )
    .allow(Role::Read, Scoped::Any)
    .about("How versions are rolled out."),
    Route::new(
        Verb::Put,
        "/v1/rollout-policy",
        "rollout_policy.change",
        any,
        |call| Box::pin(rollouts::set_policy(call)),
    )
    .allow(Role::Admin, Scoped::Everything)
    .body(any)
    .matched()
    .about("Change how the next versions are rolled out."),
    Route::new(Verb::Get, "/v1/rollouts", "rollout.list", page_of_any, |call| {
        Box::pin(rollouts::list(call))
    })
    .query(&[PAGE_SIZE, AFTER_NUMBER])
    .about("Rollouts, newest first."),
    Route::new(
        Verb::Get,
        "/v1/rollouts/current",
        "rollout.current",
        any,
        |call| Box::pin(rollouts::current(call)),
    )
    .about("The newest rollout, and what is seen in its regions."),
    Route::new(Verb::Post, "/v1/rollouts/halt", "rollout.halt", any, |call| {
        Box::pin(rollouts::halt(call))
    })
    .allow(Role::Operate, Scoped::Everything)
    .about("Stop the rollout that is under way; regions stay where they are."),
    Route::new(
        Verb::Get,
        "/v1/tenants",
        "tenant.list",
        page_of::<Tenant>,
        |call| Box::pin(tenants::list(call)),
    )
    .allow(Role::Read, Scoped::Any)
    .query(&[PAGE_SIZE, AFTER])
    .about("Tenants of the token."),
    Route::new(Verb::Post, "/v1/tenants", "tenant.create", of::<Tenant>, |call| {
        Box::pin(tenants::create(call))
    })
    .allow(Role::Operate, Scoped::Subject)
    .body(of::<NewTenant>)
    .large(TENANT_BYTES_MAX)
    .creates()
    .about("Make a tenant; it is pending until it is activated."),
    Route::new(
        Verb::Get,
        "/v1/tenants/{tenant}",
        "tenant.get",
        of::<Tenant>,
        |call| Box::pin(tenants::get(call)),
    )
    .allow(Role::Read, Scoped::Tenant)
    .about("A tenant. The ETag is its own."),
    Route::new(
        Verb::Put,
        "/v1/tenants/{tenant}",
        "tenant.put",
        of::<Tenant>,
        |call| Box::pin(tenants::put(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .body(of::<NewTenant>)
    .large(TENANT_BYTES_MAX)
    .matched()
    .about("Write a tenant anew; what it is in its life stays."),
    Route::new(
        Verb::Patch,
        "/v1/tenants/{tenant}",
        "tenant.patch",
        of::<Tenant>,
        |call| Box::pin(tenants::patch(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .merges()
    .large(TENANT_BYTES_MAX)
    .matched()
    .about("Change parts of a tenant (RFC 7396): its tier, its overrides of it."),
    Route::new(
        Verb::Post,
        "/v1/tenants/{tenant}/delete",
        "tenant.delete",
        of::<Tenant>,
        |call| Box::pin(tenants::delete(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .query(&[tenants::GRACE])
    .matched()
    .about("A tenant is gone for its clients, and can be restored until its grace is over."),
    Route::new(
        Verb::Post,
        "/v1/tenants/{tenant}/activate",
        "tenant.activate",
        of::<Tenant>,
        |call| Box::pin(tenants::activate(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .matched()
    .about("A pending tenant, or one that has moved, is served."),
    Route::new(
        Verb::Post,
        "/v1/tenants/{tenant}/suspend",
        "tenant.suspend",
        of::<Tenant>,
        |call| Box::pin(tenants::suspend(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .matched()
    .about("A tenant is stopped."),
    Route::new(
        Verb::Post,
        "/v1/tenants/{tenant}/resume",
        "tenant.resume",
        of::<Tenant>,
        |call| Box::pin(tenants::resume(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .matched()
    .about("A suspended tenant is served again."),
    Route::new(
        Verb::Post,
        "/v1/tenants/{tenant}/restore",
        "tenant.restore",
        of::<Tenant>,
        |call| Box::pin(tenants::restore(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .matched()
    .about("A deleted tenant is again what it was."),
    Route::new(
        Verb::Post,
        "/v1/tenants/{tenant}/migrate",
        "tenant.migrate",
        of::<Tenant>,
        |call| Box::pin(tenants::migrate(call)),
    )
    .allow(Role::Operate, Scoped::Tenant)
    .body(of::<Migration>)
    .matched()
    .about("A tenant moves to another region; activate it when it has."),
    Route::new(
        Verb::Get,
        "/v1/tenants/{tenant}/export",
        "tenant.export",
        any,
        |call| Box::pin(tenants::export(call)),
    )
    .allow(Role::Read, Scoped::Tenant)
    .about("All that is kept of a tenant: its documents and its events."),
    Route::new(
        Verb::Get,
        "/v1/tenants/{tenant}/usage",
        "tenant.usage",
        of::<TenantUsage>,
        |call| Box::pin(usage::of_tenant(call)),
    )
    .allow(Role::Read, Scoped::Tenant)
    .query(&[STEP, SINCE, UNTIL, ROUTE, REGION])
    .about("What a tenant used, by time, route and region: exact counters. 48 times if not told otherwise."),
    Route::new(Verb::Get, "/v1/tiers", "tier.list", page_of::<Tier>, |call| {
        Box::pin(tiers::list(call))
    })
    .allow(Role::Read, Scoped::Any)
    .query(&[PAGE_SIZE, AFTER])
    .about("Tiers of the newest version."),
    Route::new(
        Verb::Post,
        "/v1/tiers/standard",
        "tier.standard",
        page_of::<Tier>,
        |call| Box::pin(tiers::make_standard(call)),
    )
    .allow(Role::Admin, Scoped::Everything)
    .about("Make Starter, Professional and Enterprise, those that are missing."),
    Route::new(Verb::Get, "/v1/tiers/{id}", "tier.get", of::<Tier>, |call| {
        Box::pin(tiers::get(call))
    })
    .allow(Role::Read, Scoped::Any)
    .about("A tier."),
    Route::new(Verb::Put, "/v1/tiers/{id}", "tier.put", of::<Tier>, |call| {
        Box::pin(tiers::put(call))
    })
    .allow(Role::Admin, Scoped::Everything)
    .body(of::<NewTier>)
    .matched()
    .about("Make or change a tier; its tenants have it with the version."),
    Route::new(Verb::Get, "/v1/tokens", "token.list", page_of::<Token>, |call| {
        Box::pin(tokens::list(call))
    })
    .allow(Role::Admin, Scoped::Everything)
    .query(&[PAGE_SIZE, AFTER])
    .about("Tokens of this API."),
    Route::new(
        Verb::Post,
        "/v1/tokens",
        "token.create",
        of::<CreatedToken>,
        |call| Box::pin(tokens::create(call)),
    )
    .allow(Role::Admin, Scoped::Everything)
    .body(of::<NewToken>)
    .creates()
    .about("Make a token. Its secret is in this answer only."),
    Route::new(Verb::Get, "/v1/tokens/{id}", "token.get", of::<Token>, |call| {
        Box::pin(tokens::get(call))
    })
    .allow(Role::Admin, Scoped::Everything)
    .about("A token."),
    Route::new(
        Verb::Post,
        "/v1/tokens/{id}/revoke",
        "token.revoke",
        of::<Token>,
        |call| Box::pin(tokens::revoke(call)),
    )
    .allow(Role::Admin, Scoped::Everything)
    .matched()
    .about("A token is not valid any more, from now on."),
    Route::new(
        Verb::Get,
        "/v1/versions",
        "version.list",
        page_of::<Version>,
        |call| Box::pin(versions::list(call)),
    )
    .query(&[PAGE_SIZE, AFTER_NUMBER])
    .about("Published versions, newest first."),
    Route::new(
        Verb::Get,
        "/v1/versions/{revision}",
        "version.get",
        of::<Version>,
        |call| Box::pin(versions::get(call)),
    )
    .about("A published version."),
    Route::new(
        Verb::Get,
        "/v1/versions/{revision}/diff",
        "version.diff",
        page_of::<PathChange>,
        |call| Box::pin(versions::diff(call)),
    )
    .query(&[AGAINST, PAGE_SIZE, AFTER])
    .about("Paths in which a version differs from another one."),
    Route::new(
        Verb::Post,
        "/v1/versions/{revision}/rollback",
        "version.rollback",
        of::<AppliedDocument>,
        |call| Box::pin(versions::rollback(call)),
    )
    .allow(Role::Operate, Scoped::Everything)
    .body(of::<Rollback>)
    .matched()
    .about("Publish the content of an older version again, as a new one."),
    Route::new(Verb::Get, "/v1/whoami", "token.whoami", of::<Token>, |call| {
        Box::pin(tokens::whoami(call))
    })
    .allow(Role::Read, Scoped::Any)
    .about("The token that asks."),
];

fn page_of_any(_schemas: &mut super::schema::Schemas) -> serde_json::Value {
    serde_json::json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {"items": {"type": "array", "items": {"type": "object"}}, "next": {"type": ["string", "null"]}},
    })
}
