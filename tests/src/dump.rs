//! Dump and restore, with PostgreSQL's own programs.

use std::path::Path;

use crate::postgres::output_of;
use crate::{Database, Login};

impl Database {
    /// `pg_dump` as a member of tenancy_backup, into a file that goes with the cluster.
    pub fn dump(&self, login: &Login) -> std::path::PathBuf {
        let file = self.file("dump");
        let mut command = self.program("pg_dump", Some(login));
        output_of(
            command
                .args(["--role=tenancy_backup", "--format=custom", "--file"])
                .arg(&file),
        );
        file
    }

    /// `pg_restore` as the superuser; any complaint is a failure.
    pub fn restore(&self, dump: &Path) {
        let mut command = self.program("pg_restore", None);
        output_of(
            command
                .args(["--exit-on-error", "--dbname", &self.name])
                .arg(dump),
        );
    }
}
