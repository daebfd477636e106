//! `@ipMatch`: addresses and CIDR blocks, v4-mapped forms folded to v4.

use std::net::IpAddr;

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u32,
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32` or a single address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address or CIDR block");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (_, width) = bits(address);
        let mut prefix = prefix.map_or(Ok(width), |p| p.parse().map_err(|_| wrong()))?;
        if address.is_ipv6() && width == 32 && prefix >= 96 {
            // A prefix of a v4-mapped block counts from the start of the v6 form.
            prefix -= 96;
        }
        if prefix > width {
            Err(wrong())
        } else {
            Ok(Self { address, prefix })
        }
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let (own, width) = bits(self.address);
        let (other, other_width) = bits(address);
        let shift = width - self.prefix;
        width == other_width && (own ^ other).checked_shr(shift).unwrap_or(0) == 0
    }
}
