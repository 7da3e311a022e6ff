//! Why a customer was, or was not, announced.

use std::sync::Arc;

use crate::pipeline::visit_id::VisitId;

/// One decision with the numbers behind it, in one sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The customer's handle.
    pub client: Arc<str>,
    /// The visit, where there is one.
    pub visit: Option<VisitId>,
    /// One English sentence.
    pub because: String,
}
