//! Names of things, as types that cannot be mixed up.

use std::fmt;
use std::sync::Arc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest id in bytes.
            pub const BYTES_MAX: usize = 63;

            /// Takes a text of 1 to 63 bytes of `a-z A-Z 0-9 . _ -` that starts with a letter or digit; `None` for any other.
            pub fn new(text: &str) -> Option<Self> {
                let fits = (1..=Self::BYTES_MAX).contains(&text.len())
                    && text.as_bytes()[0].is_ascii_alphanumeric()
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
                fits.then(|| Self(Arc::from(text)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

id!(
    /// A listener.
    ListenerId
);
id!(
    /// A pool of upstream endpoints.
    PoolId
);
id!(
    /// A region.
    RegionId
);
id!(
    /// A route of a tenant.
    RouteId
);
id!(
    /// A rule set.
    RuleSetId
);
id!(
    /// A tenant.
    TenantId
);
id!(
    /// A tier.
    TierId
);
