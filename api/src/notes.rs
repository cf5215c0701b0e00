//! What is found out about a request on its way in, and wanted on its way out.

use std::sync::{Arc, OnceLock};

use uuid::Uuid;

/// One request's notes; each clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tenant: OnceLock<Uuid>,
}

impl Notes {
    /// The tenant that a token of this service is for. Noted once.
    pub fn note_tenant(&self, tenant: Uuid) {
        // A second note would be of the same token.
        let _ = self.0.tenant.set(tenant);
    }

    pub fn tenant(&self) -> Option<Uuid> {
        self.0.tenant.get().copied()
    }
}
