//! What kind of address it is, and the one form in which it is compared.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address may be used for, by the IANA special-purpose registries (RFC 6890 and its successors).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Shared between a provider and its customers, 100.64.0.0/10 (RFC 6598).
    CarrierNat,
    /// For examples in texts (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// One link (RFC 3927, RFC 4291).
    LinkLocal,
    /// This machine.
    Loopback,
    /// Groups of receivers.
    Multicast,
    /// Private networks (RFC 1918, RFC 4193).
    Private,
    /// Anything that a database can know.
    #[default]
    Public,
    /// Set aside: 0.0.0.0/8, benchmarks, 240.0.0.0/4, and what is outside of 2000::/3.
    Reserved,
}

/// The form of an address in which it is compared with networks and looked up.
///
/// IPv4-mapped addresses (RFC 4291 section 2.5.5.2) become IPv4. So do 6to4 (RFC 3056) and NAT64 `64:ff9b::/96`
/// (RFC 6052), but only when the IPv4 address inside is public: both RFCs forbid others, and `2002:7f00:1::` must not
/// pass as loopback. Teredo stays as it is, since its inner address is the client's own claim.
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(mapped) = v6.to_ipv4_mapped() {
        return IpAddr::V4(mapped);
    }
    match embedded(v6) {
        Some(inner) if classify_v4(inner) == AddressClass::Public => IpAddr::V4(inner),
        _ => ip,
    }
}

fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0x2002, high, low, ..] => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        _ => None,
    }
}

/// The class of an address, after [`canonical`].
pub fn classify(ip: IpAddr) -> AddressClass {
    match canonical(ip) {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(v4: Ipv4Addr) -> AddressClass {
    match v4.octets() {
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::CarrierNat,
        [169, 254, ..] => AddressClass::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Documentation,
        [224..=239, ..] => AddressClass::Multicast,
        [0, ..] | [192, 0, 0, _] | [198, 18..=19, ..] | [240..=255, ..] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn classify_v6(v6: Ipv6Addr) -> AddressClass {
    if v6.is_loopback() {
        return AddressClass::Loopback;
    }
    match v6.segments() {
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xfc00..=0xfdff, ..] => AddressClass::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressClass::Documentation,
        // 6to4 around an address that is not public, and benchmarks (RFC 5180).
        [0x2002, ..] | [0x2001, 2, 0, ..] => AddressClass::Reserved,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn translated_forms_become_ipv4() {
        for form in ["::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808", "8.8.8.8"] {
            assert_eq!(canonical(ip(form)), ip("8.8.8.8"), "{form}");
        }
    }

    #[test]
    fn a_tunnel_around_a_private_address_is_not_that_address() {
        for form in [
            "2002:7f00:1::1",
            "64:ff9b::7f00:1",
            "2002:a00:1::",
            "2001:0:808:808::1",
            "64:ff9b:1::808:808",
        ] {
            assert_eq!(canonical(ip(form)), ip(form), "{form}");
        }
        assert_eq!(canonical(ip("::ffff:127.0.0.1")), ip("127.0.0.1"));
    }

    #[test]
    fn edges_of_special_ranges() {
        use AddressClass::*;
        let table = [
            ("9.255.255.255", Public),
            ("10.0.0.0", Private),
            ("11.0.0.0", Public),
            ("100.63.255.255", Public),
            ("100.64.0.0", CarrierNat),
            ("100.127.255.255", CarrierNat),
            ("100.128.0.0", Public),
            ("127.0.0.1", Loopback),
            ("169.254.1.1", LinkLocal),
            ("172.15.255.255", Public),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.0.2.1", Documentation),
            ("192.168.0.1", Private),
            ("198.17.255.255", Public),
            ("198.18.0.0", Reserved),
            ("198.51.100.7", Documentation),
            ("203.0.113.7", Documentation),
            ("224.0.0.1", Multicast),
            ("255.255.255.255", Reserved),
            ("0.0.0.0", Reserved),
            ("::", Reserved),
            ("::1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("fe80::1", LinkLocal),
            ("fd00::1", Private),
            ("ff02::1", Multicast),
            ("2001:db8::1", Documentation),
            ("2002:7f00:1::1", Reserved),
            ("2600::1", Public),
            ("3fff:fff::1", Documentation),
            ("3fff:1000::1", Public),
            ("4000::1", Reserved),
        ];
        for (text, class) in table {
            assert_eq!(classify(ip(text)), class, "{text}");
        }
    }
}
