//! Rows that were deleted softly: owners and admins of the tenant list and restore them.

use pgrx::pg_sys;

use super::one_row;
use super::resource::{by_id, id, resource};
use crate::context::Role;
use crate::fault::Fault;
use crate::function::Answer;
use crate::readers;
use crate::rows::relation::Relation;
use crate::rows::statement::Verb;

sql_function!(
    tenancy_restore_resource,
    pg_finfo_tenancy_restore_resource,
    restore_resource
);

fn restore_resource(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = resource(call, Verb::Restore)?;
    require(relation)?;
    let unread = by_id(relation, Verb::Restore, &id(call, relation)?)?;
    // SAFETY: what is alive here has no destructor.
    Ok(unsafe { one_row(call, relation, unread) })
}

/// TN203 unless who entered is an owner or admin, TN421 where rows are deleted for good.
pub fn require(relation: &Relation) -> Result<(), Fault> {
    let role = readers::required()?.and_then(|context| context.role);
    if !matches!(role, Some(Role::Owner | Role::Admin)) {
        return Err(
            Fault::new("TN203", "only owners and admins of the tenant may do that")
                .hint("Ask an owner or admin of the tenant."),
        );
    }
    if !relation.is_soft_deleted {
        return Err(
            Fault::new("TN421", format!("{} keeps no deleted rows", relation.title))
                .hint("A DBA has it keep them with tenancy.enable_soft_delete()."),
        );
    }
    Ok(())
}
