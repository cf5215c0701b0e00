//! What is found out about a request on its way in, and wanted on its way out.

use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use crate::limiter::Standing;

/// One request's notes; each clone is the same. What is noted once stays.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tenant: OnceLock<Uuid>,
    address_standing: OnceLock<Standing>,
    tenant_standing: OnceLock<Standing>,
}

impl Notes {
    /// The tenant that a token of this service is for.
    pub fn note_tenant(&self, tenant: Uuid) {
        let _ = self.0.tenant.set(tenant);
    }

    pub fn note_address(&self, standing: Standing) {
        let _ = self.0.address_standing.set(standing);
    }

    pub fn note_tenant_standing(&self, standing: Standing) {
        let _ = self.0.tenant_standing.set(standing);
    }

    pub fn tenant(&self) -> Option<Uuid> {
        self.0.tenant.get().copied()
    }

    pub fn address(&self) -> Option<&Standing> {
        self.0.address_standing.get()
    }

    pub fn tenant_standing(&self) -> Option<&Standing> {
        self.0.tenant_standing.get()
    }
}
