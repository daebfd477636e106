//! Who may use the admin API: bearer tokens with a role and a scope. What is not allowed is refused.

mod role;
mod throttle;
mod token;
mod tokens;

pub use role::{Names, Role, Scope};
pub use throttle::Throttle;
pub use token::{NewSecret, TokenRecord};
pub use tokens::{AuthError, BOOTSTRAP_FILE, Principal, Tokens};
