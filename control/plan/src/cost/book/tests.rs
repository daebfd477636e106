use super::*;

const EXAMPLE: &str = include_str!("example.yaml");

fn region(id: &str) -> RegionId {
    RegionId::new(id).unwrap()
}

#[test]
fn the_example_passes_and_regions_override_prices() {
    let book = PriceBook::read(EXAMPLE).unwrap();
    assert_eq!(book.price(&region("eu"), Meter::BytesOut).decimal(), "0.09");
    assert_eq!(book.price(&region("ap"), Meter::BytesOut).decimal(), "0.12");
    assert_eq!(book.price(&region("ap"), Meter::Requests).decimal(), "0.6");
    assert_eq!(book.node_hour(&region("ap")).unwrap().decimal(), "0.14");
    assert_eq!(book.node_hour(&region("eu")).unwrap().decimal(), "0.1");
    let tier = book.tier(&TierId::new("professional").unwrap()).unwrap();
    assert_eq!(tier.month, Money::units(299));
    assert_eq!(tier.included[Meter::BytesOut.place()], 2_000_000_000_000);
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let text = EXAMPLE
        .replace("currency: USD", "currency: usd")
        .replace("\"2026-11-01\"", "\"2026-11-31\"")
        .replace("requests_million: \"0.60\"", "requests_million: 0.6")
        .replace("cpu_second: \"0.00004\"", "cpu_second: \"1e-5\"")
        .replace("gb_in: \"0\"", "gb_in: \"-1\"\n  gb_inn: \"0\"")
        .replace("- id: professional", "- id: starter")
        .replace("month: \"2999\"", "month: \"2999.0000000001\"")
        .replace("shared_by: cpu", "shared_by: luck");
    let errors = PriceBook::read(&text).unwrap_err();
    let found: Vec<(&str, &str)> = errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
    // A map that lacks a required key is not looked at for meaning, so shape comes first.
    assert_eq!(
        found,
        [
            ("/prices/requests_million", "wrong_type"),
            ("/prices/gb_inn", "unknown_key"),
            ("/operation/shared_by", "unknown_value"),
        ]
    );
    let text = text
        .replace("requests_million: 0.6", "requests_million: \"0.6\"")
        .replace("\n  gb_inn: \"0\"", "")
        .replace("shared_by: luck", "shared_by: cpu");
    let errors = PriceBook::read(&text).unwrap_err();
    let found: Vec<(&str, &str)> = errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
    assert_eq!(
        found,
        [
            ("/currency", "invalid_currency"),
            ("/valid_from", "invalid_date"),
            ("/prices/cpu_second", "invalid_price"),
            ("/prices/gb_in", "invalid_price"),
            ("/tiers/1/id", "duplicate_id"),
            ("/tiers/2/month", "invalid_price"),
        ]
    );
    assert!(errors.iter().all(|error| error.line.is_some()));
}

#[test]
fn a_region_with_a_node_cost_needs_operation() {
    let text = EXAMPLE.split("operation:").next().unwrap();
    let errors = PriceBook::read(text).unwrap_err();
    assert_eq!(errors[0].pointer, "/regions/0/node_hour");
}

#[test]
fn a_version_never_changes_and_each_day_has_one() {
    let day = |text: &str| Day::parse(text).unwrap();
    let book = |id: &str, from: &str| {
        let text = EXAMPLE.replace("prices-2026-11", id).replace("2026-11-01", from);
        PriceBook::read(&text).unwrap()
    };
    let today = day("2026-11-25");
    let mut books = PriceBooks::default();
    assert_eq!(books.add(book("a", "2026-11-01"), today), Ok(true));
    assert_eq!(books.add(book("a", "2026-11-01"), today), Ok(false));
    assert_eq!(books.add(book("c", "2026-12-15"), today), Ok(true));
    assert_eq!(books.add(book("b", "2026-12-01"), today), Ok(true));
    for (id, from, code) in [
        ("a", "2026-12-24", "id_taken"),
        ("d", "2026-12-01", "start_taken"),
        ("d", "2026-11-25", "starts_in_the_past"),
    ] {
        assert_eq!(books.add(book(id, from), today).unwrap_err().code(), code);
    }
    let mut other = book("d", "2027-01-01");
    other.currency = "EUR".to_owned();
    assert_eq!(books.add(other, today).unwrap_err().code(), "currency_changed");
    let on = |text: &str| books.on(day(text)).map(|book| book.id.as_str());
    assert_eq!(on("2026-10-31"), None);
    assert_eq!([on("2026-11-01"), on("2026-11-30")], [Some("a"); 2]);
    assert_eq!([on("2026-12-01"), on("2026-12-14")], [Some("b"); 2]);
    assert_eq!(on("2030-01-01"), Some("c"));
}
