//! The engine: one exchange from head to record. Start reading in [`serve`].

pub(crate) mod body;
pub(crate) mod forward;
pub(crate) mod hold_response;
pub(crate) mod outgoing;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod retry;
pub(crate) mod serve;
pub(crate) mod upgrade;
