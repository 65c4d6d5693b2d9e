//! The users and groups of this machine, as its name service knows them.

use keepwell_model::role::{Account, AccountName, Accounts, LookupFailed, Peer};
use nix::unistd::{Gid, Group, Uid, User};
use std::collections::BTreeSet;
use std::ffi::CString;

/// Asks the system each time: who was added or left counts at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

fn failed(what: &str, errno: nix::errno::Errno) -> LookupFailed {
    LookupFailed(format!("{what}: {}", errno.desc()))
}

impl Accounts for System {
    fn uid(&self, name: &AccountName) -> Result<Option<u32>, LookupFailed> {
        let name = name.as_str();
        let user = User::from_name(name).map_err(|e| failed(name, e))?;
        Ok(user.map(|user| user.uid.as_raw()))
    }

    fn gid(&self, name: &AccountName) -> Result<Option<u32>, LookupFailed> {
        let name = name.as_str();
        let group = Group::from_name(name).map_err(|e| failed(name, e))?;
        Ok(group.map(|group| group.gid.as_raw()))
    }

    fn groups_of(&self, uid: u32) -> Result<BTreeSet<u32>, LookupFailed> {
        let what = format!("user {uid}");
        let Some(user) = User::from_uid(Uid::from_raw(uid)).map_err(|e| failed(&what, e))? else {
            return Ok(BTreeSet::new());
        };
        let name = CString::new(user.name)
            .map_err(|_| LookupFailed(format!("{what}: its name holds a zero byte")))?;
        let groups = nix::unistd::getgrouplist(&name, user.gid).map_err(|e| failed(&what, e))?;
        Ok(groups.into_iter().map(Gid::as_raw).collect())
    }
}

/// A user and its own group, by name or number. `None`: this machine does not know it.
pub fn ids(account: &Account) -> Result<Option<(u32, u32)>, LookupFailed> {
    let user = match account {
        Account::Name(name) => User::from_name(name.as_str()),
        Account::Number(number) => User::from_uid(Uid::from_raw(*number)),
    };
    let user = user.map_err(|e| failed(&account.to_string(), e))?;
    Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// Somebody by number, with every group they are in.
pub fn peer(uid: u32) -> Result<Peer, LookupFailed> {
    Ok(Peer {
        uid,
        gids: System.groups_of(uid)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number() {
        let root = AccountName::new("root").unwrap();
        assert_eq!(System.uid(&root).unwrap(), Some(0));
        assert_eq!(System.gid(&root).unwrap(), Some(0));
        assert!(peer(0).unwrap().gids.contains(&0));
        assert_eq!(ids(&Account::Name(root)).unwrap(), Some((0, 0)));
        assert_eq!(ids(&Account::Number(0)).unwrap(), Some((0, 0)));
    }

    #[test]
    fn nobody_has_a_number_nobody_was_given() {
        let name = AccountName::new("no-such-user-here").unwrap();
        assert_eq!(System.uid(&name).unwrap(), None);
        assert!(peer(4_294_000_000).unwrap().gids.is_empty());
    }
}
