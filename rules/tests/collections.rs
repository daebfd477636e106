//! What rules remember from one request to the next.

#![allow(clippy::unwrap_used, reason = "a broken rule text must fail the test")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use weir_rules::{
    Collections, CollectionsPool, Connection, Disk, Options, RequestLine, RuleSet, Source, Transaction,
    Verdict, compile,
};

const COUNTER: &str = "SecAction \"id:1,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR}\"\n\
    SecRule IP:failed \"@gt 5\" \"id:2,phase:1,deny,status:429,msg:'%{ip.failed} failures'\"\n\
    SecRule REQUEST_FILENAME \"@streq /login\" \"id:3,phase:1,pass,nolog,setvar:ip.failed=+1,expirevar:ip.failed=60\"\n";

fn rules(text: &str) -> Arc<RuleSet> {
    let source = Source {
        path: "test.conf".into(),
        text: text.to_owned(),
    };
    compile(&[source], &Disk).unwrap().rules
}

fn client(last: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + last))
}

fn request(
    rules: &Arc<RuleSet>,
    store: &Arc<Collections>,
    from: IpAddr,
    path: &str,
    now: u64,
) -> (Verdict, Vec<u64>) {
    let options = Options {
        now_unix_ms: now,
        collections: Some(Arc::clone(store)),
        ..Options::default()
    };
    let connection = Connection::without_socket(from);
    let mut tx = Transaction::new(Arc::clone(rules), &options, &connection);
    let line = RequestLine {
        method: b"GET",
        target: path.as_bytes(),
        protocol: b"HTTP/1.1",
    };
    let verdict = tx.request_headers(&line, &[]);
    (verdict, tx.finish().matches.iter().map(|m| m.id).collect())
}

#[test]
fn the_seventh_login_of_an_address_is_refused_until_the_counter_expires() {
    let (rules, store) = (rules(COUNTER), Arc::default());
    let status = |from, now| match request(&rules, &store, from, "/login", now).0 {
        Verdict::Continue => 200,
        Verdict::Deny { status, .. } => status,
    };
    for turn in 0..6 {
        assert_eq!(status(client(1), turn * 1000), 200, "{turn}");
    }
    assert_eq!(status(client(1), 64_999), 429);
    assert_eq!(status(client(2), 64_999), 200);
    assert_eq!(status(client(1), 65_000), 200);
}

#[test]
fn a_reload_of_the_rules_forgets_nothing_and_another_tenant_knows_nothing() {
    let store = Arc::default();
    for _ in 0..6 {
        request(&rules(COUNTER), &store, client(1), "/login", 0);
    }
    assert_eq!(request(&rules(COUNTER), &store, client(1), "/", 0).1, [2]);
    assert_eq!(
        request(&rules(COUNTER), &Arc::default(), client(1), "/", 0).1,
        [0_u64; 0]
    );
}

#[test]
fn no_increment_of_several_threads_is_lost() {
    let rules = rules(
        "SecAction \"id:1,phase:1,nolog,initcol:global=all,setvar:global.n=+1\"\n\
         SecRule REQUEST_FILENAME \"@streq /n\" \"id:2,phase:1,chain\"\nSecRule GLOBAL:n \"@eq 2001\" \"\"\n",
    );
    let store = Arc::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| drop(request(&rules, &store, client(1), "/", 0))));
        }
    });
    assert_eq!(request(&rules, &store, client(1), "/n", 0).1, [2]);
}

#[test]
fn every_collection_is_counted_read_by_pattern_lowered_and_unset() {
    for (open, name) in [
        ("initcol:ip=k", "ip"),
        ("initcol:global=k", "global"),
        ("initcol:resource=k", "resource"),
        ("setrsc:k", "resource"),
        ("setsid:k", "session"),
        ("setuid:k", "user"),
    ] {
        let rules = rules(&format!(
            "SecAction \"id:1,phase:1,nolog,{open},setvar:{name}.a=5,setvar:{name}.b_x=-2,setvar:tx.c=%{{{name}.a}}\"\n\
             SecRule &{name}:A \"@eq 1\" \"id:2,phase:1\"\n\
             SecRule {name}:/^b_/ \"@eq -2\" \"id:3,phase:1\"\n\
             SecRule TX:c \"@eq 5\" \"id:4,phase:1\"\n\
             SecAction \"id:5,phase:1,nolog,setvar:!{name}.a\"\n\
             SecRule &{name} \"@eq 1\" \"id:6,phase:1\"\n"
        ));
        assert_eq!(
            request(&rules, &Arc::default(), client(1), "/", 0).1,
            [2, 3, 4, 6],
            "{open}"
        );
    }
}

#[test]
fn a_value_decays_by_so_much_for_each_period() {
    let set = rules("SecAction \"id:1,phase:1,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.s=50\"\n");
    let read = rules(
        "SecAction \"id:1,phase:1,nolog,initcol:ip=%{REMOTE_ADDR},deprecatevar:ip.s=10/60\"\n\
         SecRule IP:s \"@eq 30\" \"id:30,phase:1\"\nSecRule IP:s \"@eq 0\" \"id:100,phase:1\"\n",
    );
    let store = Arc::default();
    request(&set, &store, client(1), "/", 0);
    assert_eq!(request(&read, &store, client(1), "/", 59_999).1, [0_u64; 0]);
    assert_eq!(request(&read, &store, client(1), "/", 120_000).1, [30]);
    assert_eq!(request(&read, &store, client(1), "/", 3_000_000).1, [100]);
}

#[test]
fn nothing_is_kept_before_a_collection_is_opened() {
    let rules =
        rules("SecAction \"id:1,phase:1,nolog,setvar:ip.a=1\"\nSecRule &IP \"@eq 0\" \"id:2,phase:1\"\n");
    let store = Arc::default();
    assert_eq!(request(&rules, &store, client(1), "/", 0).1, [2]);
    assert_eq!(store.usage().records, 0);
}

#[test]
fn a_store_stays_within_its_bytes_and_drops_the_oldest() {
    let rules =
        rules("SecAction \"id:1,phase:1,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.a=%{REQUEST_FILENAME}\"\n");
    let store = Arc::default();
    let path = format!("/{}", "x".repeat(200));
    for at in 0..25_000 {
        request(&rules, &store, client(at), &path, 1);
    }
    let full = store.usage();
    assert!(full.bytes <= 8 << 20 && full.records > 5_000, "{full:?}");
    assert_eq!(full.evicted, 25_000 - full.records as u64);
    request(&rules, &store, client(1), &format!("/{}", "x".repeat(300)), 1);
    assert_eq!(store.usage().refused, full.refused + 1);
    // An hour after the last write they are over, whoever comes next.
    for at in 0..500 {
        request(&rules, &store, client(at), "/", 3_600_001);
    }
    assert_eq!(store.usage().records, 500, "{:?}", store.usage());
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    for (action, code) in [
        ("setvar:ipp.a=1", "unknown_collection"),
        ("expirevar:tx.a=1", "unknown_collection"),
        ("initcol:cookie=a", "unknown_collection"),
        ("expirevar:ip.a=soon", "bad_action"),
        ("deprecatevar:ip.a=1/0", "bad_action"),
        ("deprecatevar:ip.a=1", "bad_action"),
        ("ctl:ruleRemoveTargetById=2;IP:IS_NEW", "refused_variable"),
    ] {
        let source = Source {
            path: "test.conf".into(),
            text: format!("SecAction \"id:1,{action}\"\n"),
        };
        let found = compile(&[source], &Disk).unwrap_err();
        assert!(found.iter().any(|d| d.code == code), "{action}: {found:?}");
    }
}

/// Remembers a long value for as many clients.
fn fill(rules: &Arc<RuleSet>, store: &Arc<Collections>, clients: std::ops::Range<u32>) {
    for last in clients {
        request(rules, store, client(last), "/", 0);
    }
}

const LONG: &str = "SecAction \"id:1,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},setvar:ip.x=0123456789012345678901234567890123456789\"\n";

#[test]
fn the_stores_of_a_process_have_one_bound_and_the_largest_gives_way() {
    const POOL_BYTES: usize = 1 << 20;
    let rules = rules(LONG);
    let pool = Arc::new(CollectionsPool::new(POOL_BYTES));
    let small = Collections::in_pool(&pool);
    fill(&rules, &small, 0..100);
    let kept = small.usage();
    assert_eq!(kept.records, 100);
    let large: Vec<_> = (0..3).map(|_| Collections::in_pool(&pool)).collect();
    for store in &large {
        fill(&rules, store, 0..4000);
        assert!(pool.usage().bytes <= POOL_BYTES, "{:?}", pool.usage());
    }
    // Who takes little keeps what it has, also while others write.
    assert_eq!(small.usage(), kept);
    assert!(pool.usage().evicted > 1000, "{:?}", pool.usage());
    let sum: usize = large
        .iter()
        .chain([&small])
        .map(|store| store.usage().bytes)
        .sum();
    assert_eq!(pool.usage().bytes, sum);
    // Nobody has it all: each of those that wrote much has a good part.
    for store in &large {
        assert!(store.usage().bytes > POOL_BYTES / 8, "{:?}", store.usage());
    }
}

#[test]
fn a_store_that_is_gone_takes_nothing() {
    let rules = rules(LONG);
    let pool = Arc::new(CollectionsPool::default());
    let store = Collections::in_pool(&pool);
    fill(&rules, &store, 0..50);
    assert_eq!(pool.usage().records, 50);
    drop(store);
    assert_eq!((pool.usage().records, pool.usage().bytes), (0, 0));
}

#[test]
fn threads_that_fill_a_pool_together_keep_its_bound() {
    const POOL_BYTES: usize = 256 << 10;
    let rules = rules(LONG);
    let pool = Arc::new(CollectionsPool::new(POOL_BYTES));
    let stores: Vec<_> = (0..4).map(|_| Collections::in_pool(&pool)).collect();
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| fill(&rules, store, 0..3000));
        }
    });
    fill(&rules, &stores[0], 0..1);
    assert!(pool.usage().bytes <= POOL_BYTES, "{:?}", pool.usage());
    let sum: usize = stores.iter().map(|store| store.usage().bytes).sum();
    assert_eq!(pool.usage().bytes, sum);
}
