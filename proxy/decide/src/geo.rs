//! Who may come, by place.

use weir_geoip::{Place, UNKNOWN_COUNTRY};
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::GeoPolicy;

/// The refusal of a tenant's policy, if it refuses.
///
/// A deny list that names the client wins. Then the client must be in each kind of allow list that is set: country or
/// continent (one list of places in two spellings: either will do), and network. What is not known passes, unless the
/// policy refuses the unknown.
pub fn decide(policy: &GeoPolicy, place: &Place) -> Option<RefusalCode> {
    let country = (place.country != UNKNOWN_COUNTRY).then_some(place.country);
    let continent = place.continent;
    let asn = (place.asn != 0).then_some(place.asn);
    if names(&policy.countries_deny, country)
        || names(&policy.continents_deny, continent)
        || names(&policy.asns_deny, asn)
    {
        return Some(RefusalCode::GeoBlocked);
    }
    let places_allow = !policy.countries_allow.is_empty() || !policy.continents_allow.is_empty();
    let allowed = names(&policy.countries_allow, country) || names(&policy.continents_allow, continent);
    let place_known = country.is_some() || continent.is_some();
    if places_allow && place_known && !allowed {
        return Some(RefusalCode::GeoBlocked);
    }
    if !policy.asns_allow.is_empty() && asn.is_some() && !names(&policy.asns_allow, asn) {
        return Some(RefusalCode::GeoBlocked);
    }
    let needs_country =
        places_allow || !policy.countries_deny.is_empty() || !policy.continents_deny.is_empty();
    let needs_asn = !policy.asns_allow.is_empty() || !policy.asns_deny.is_empty();
    let unknown = (needs_country && country.is_none()) || (needs_asn && asn.is_none());
    (policy.unknown_deny && unknown).then_some(RefusalCode::GeoUnknown)
}

fn names<T: PartialEq>(list: &[T], value: Option<T>) -> bool {
    value.is_some_and(|value| list.contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(country: &[u8; 2], asn: u32) -> Place {
        Place {
            country: *country,
            continent: weir_geoip::continent_of(*country),
            asn,
            ..Place::default()
        }
    }

    #[test]
    fn deny_wins_and_allow_limits() {
        let policy = GeoPolicy {
            countries_allow: vec![*b"DE"],
            continents_allow: vec![*b"NA"],
            countries_deny: vec![*b"CA"],
            asns_deny: vec![666],
            ..GeoPolicy::default()
        };
        assert_eq!(decide(&policy, &place(b"DE", 1)), None);
        assert_eq!(decide(&policy, &place(b"US", 1)), None);
        assert_eq!(decide(&policy, &place(b"CA", 1)), Some(RefusalCode::GeoBlocked));
        assert_eq!(decide(&policy, &place(b"FR", 1)), Some(RefusalCode::GeoBlocked));
        assert_eq!(decide(&policy, &place(b"DE", 666)), Some(RefusalCode::GeoBlocked));
        assert_eq!(decide(&policy, &place(b"XX", 1)), None);
    }

    #[test]
    fn unknown_is_refused_only_where_a_list_asks() {
        let open = GeoPolicy {
            unknown_deny: true,
            ..GeoPolicy::default()
        };
        assert_eq!(decide(&open, &place(b"XX", 0)), None);
        let countries = GeoPolicy {
            countries_deny: vec![*b"KP"],
            ..open.clone()
        };
        assert_eq!(
            decide(&countries, &place(b"XX", 5)),
            Some(RefusalCode::GeoUnknown)
        );
        assert_eq!(decide(&countries, &place(b"DE", 0)), None);
        let networks = GeoPolicy {
            asns_allow: vec![7],
            ..open
        };
        assert_eq!(decide(&networks, &place(b"DE", 0)), Some(RefusalCode::GeoUnknown));
        assert_eq!(decide(&networks, &place(b"XX", 7)), None);
        assert_eq!(decide(&networks, &place(b"XX", 8)), Some(RefusalCode::GeoBlocked));
    }
}
