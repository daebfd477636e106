//! What kinds of records there are.

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $secret:literal;)*) => {
        /// What a record is. A new kind is one more row here: engines keep the name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that is kept and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Whether bodies of this kind are encrypted at rest.
            #[must_use]
            pub const fn is_secret(self) -> bool {
                match self { $(Self::$variant => $secret),* }
            }
        }
    };
}

kinds! {
    /// Where alerts go; holds secrets of webhooks.
    AlertRoute = "alert_route", true;
    /// What a tenant may cost.
    Budget = "budget", false;
    /// One path of the configuration.
    ConfigEntry = "config_entry", false;
    /// The answer to a request that carried an Idempotency-Key; may hold a new token.
    Idempotency = "idempotency", true;
    /// Single facts about this installation.
    Meta = "meta", false;
    /// What a unit costs, from when on.
    PriceBook = "price_book", false;
    /// A proxy that may join.
    Proxy = "proxy", false;
    /// A version on its way through the regions.
    Rollout = "rollout", false;
    /// A key that versions are signed with.
    SigningKey = "signing_key", true;
    /// A tenant's life: state, tier, regions.
    Tenant = "tenant", false;
    /// A template of quotas, features and price.
    Tier = "tier", false;
    /// Who may use the admin API.
    Token = "token", false;
    /// A published configuration.
    Version = "version", false;
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn names_differ() {
        let names: std::collections::HashSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
