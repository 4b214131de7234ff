//! The user that PostgreSQL runs as.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

use crate::error::BoxError;

/// The user that PostgreSQL runs as. `None` is the user of this process. PostgreSQL refuses to run as root, so root
/// needs another one.
#[derive(Debug, Clone)]
pub(super) struct PostgresUser(Option<User>);

impl PostgresUser {
    /// Returns the owner of the cluster's folder, or the user that will own it.
    pub(super) fn of_cluster(folder: &Path) -> Result<Self, BoxError> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        if let Ok(metadata) = folder.metadata()
            && let Some(owner) = User::from_uid(metadata.uid().into())?
        {
            return Ok(Self(Some(owner)));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self(Some(user)));
            }
        }
        Err("PostgreSQL cannot run as root, and neither the user postgres nor the user nobody exists; create the \
             user postgres"
            .into())
    }

    pub(super) fn apply(&self, command: &mut Command) {
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
    }

    pub(super) fn own(&self, path: &Path) -> std::io::Result<()> {
        match &self.0 {
            Some(user) => chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
            None => Ok(()),
        }
    }

    /// Checks that this user may enter a folder and all its parents.
    pub(super) fn check_reach(&self, folder: &Path) -> Result<(), BoxError> {
        let Some(user) = &self.0 else { return Ok(()) };
        for folder in folder.ancestors() {
            let metadata = folder.metadata()?;
            let shift = if metadata.uid() == user.uid.as_raw() {
                6
            } else if metadata.gid() == user.gid.as_raw() {
                3
            } else {
                0
            };
            let may_enter = metadata.mode() >> shift & 1 == 1;
            if !may_enter {
                return Err(format!(
                    "PostgreSQL runs as the user {}, which cannot enter {}; set DATA_DIR to a folder that every \
                     user can reach, such as /var/lib/customer-groups",
                    user.name,
                    folder.display()
                )
                .into());
            }
        }
        Ok(())
    }
}
