//! `config-read` and `config-write`: which declared parameters a task may read, and which it may
//! propose to change, how often.

use super::{Denial, nearest};
use crate::action::Price;
use crate::id::ParamName;
use crate::param::Param;
use crate::words::{Refusal, printable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `config-read = { params = ["NAME"] }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigReadRule {
    pub params: Vec<ParamName>,
}

/// `config-write = { params = ["NAME"], max-changes = 1 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigWriteRule {
    pub params: Vec<ParamName>,
    /// Most changes in one run. Default 1: of two changes made at once nobody can tell which one
    /// helped.
    pub max_changes: Option<u64>,
}

/// The parameters as declared when the run was granted: where each lives and what it may be is
/// part of the grant, and so of the plan's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReadGrant {
    pub params: BTreeMap<ParamName, Param>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigWriteGrant {
    pub params: BTreeMap<ParamName, Param>,
    pub max_changes: u64,
}

/// Changes in one run when the rule does not say.
pub const MAX_CHANGES_DEFAULT: u64 = 1;
/// A run that changes more parameters than this installs a configuration; it does not tune.
pub const MAX_CHANGES_CEILING: u64 = 16;

/// Operator's rule ∩ declared parameters.
pub fn config_read(
    rule: &ConfigReadRule,
    declared: &BTreeMap<ParamName, Param>,
) -> Result<ConfigReadGrant, Denial> {
    Ok(ConfigReadGrant {
        params: named("grant.config-read.params", &rule.params, declared)?,
    })
}

/// Operator's rule ∩ declared parameters, with the number of changes bounded.
pub fn config_write(
    rule: &ConfigWriteRule,
    declared: &BTreeMap<ParamName, Param>,
) -> Result<ConfigWriteGrant, Denial> {
    let params = named("grant.config-write.params", &rule.params, declared)?;
    let max_changes = rule.max_changes.unwrap_or(MAX_CHANGES_DEFAULT);
    if max_changes == 0 || max_changes > MAX_CHANGES_CEILING {
        return Err(Denial::new(
            "grant.config-write.max-changes",
            format!(
                "`max-changes` is {max_changes}, but must lie between 1 and {MAX_CHANGES_CEILING}"
            ),
        )
        .hint("leave it out: one change in a run is the default"));
    }
    Ok(ConfigWriteGrant {
        params,
        max_changes,
    })
}

fn named(
    place: &str,
    names: &[ParamName],
    declared: &BTreeMap<ParamName, Param>,
) -> Result<BTreeMap<ParamName, Param>, Denial> {
    let mut params = BTreeMap::new();
    for name in names {
        let Some(param) = declared.get(name) else {
            let no = Denial::new(place, format!("parameter `{name}` is not in keepwell.toml"));
            let known: Vec<&str> = declared.keys().map(ParamName::as_str).collect();
            return Err(match nearest(name.as_str(), &known) {
                Some(near) => no.hint(format!("did you mean `{near}`?")),
                None => no.hint(format!("declare it as `[params.{name}]` in keepwell.toml")),
            });
        };
        params.insert(name.clone(), param.clone());
    }
    if params.is_empty() {
        return Err(Denial::new(place, "no parameter is named"));
    }
    Ok(params)
}

impl ConfigReadGrant {
    /// The parameter, or a denial with the line to add.
    pub fn param(&self, name: &str) -> Result<(&ParamName, &Param), Refusal> {
        held(&self.params, name, "config-read")
    }
}

impl ConfigWriteGrant {
    pub fn param(&self, name: &str) -> Result<(&ParamName, &Param), Refusal> {
        held(&self.params, name, "config-write")
    }

    /// Adds `price` to the changes `spent`, or refuses and charges nothing.
    pub fn charge(&self, spent: &mut u64, price: Price) -> Result<(), Refusal> {
        let sum = spent.saturating_add(price.params);
        if sum > self.max_changes {
            return Err(Refusal::limit(format!(
                "the budget of {} changes of parameters is used up",
                self.max_changes
            ))
            .hint("propose the next one in a later run, or raise `config-write.max-changes`"));
        }
        *spent = sum;
        Ok(())
    }
}

fn held<'a>(
    params: &'a BTreeMap<ParamName, Param>,
    name: &str,
    table: &str,
) -> Result<(&'a ParamName, &'a Param), Refusal> {
    let found = params.iter().find(|(known, _)| known.as_str() == name);
    found.ok_or_else(|| {
        let name = printable(name, 64);
        Refusal::denied(format!("parameter `{name}` is not granted")).hint(format!(
            "add `{table}.params = [\"{name}\"]` to [grant] of this task"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::param::ParamTable;
    use crate::words::Code;
    use proptest::prelude::*;

    fn name(text: &str) -> ParamName {
        ParamName::new(text).unwrap()
    }

    fn declared(names: &[&str]) -> BTreeMap<ParamName, Param> {
        let table: ParamTable = serde_json::from_value(serde_json::json!({
            "sysctl": "vm.swappiness", "type": "integer", "min": 0, "max": 100
        }))
        .unwrap();
        let one = |text: &&str| (name(text), table.resolve(&name(text)).unwrap());
        names.iter().map(one).collect()
    }

    fn rule(names: &[&str], max_changes: Option<u64>) -> ConfigWriteRule {
        ConfigWriteRule {
            params: names.iter().map(|n| name(n)).collect(),
            max_changes,
        }
    }

    #[test]
    fn what_is_not_declared_is_not_granted() {
        let all = declared(&["swappiness", "pool"]);
        let no = config_write(&rule(&["swapiness"], None), &all).unwrap_err();
        assert_eq!(no.place, "grant.config-write.params");
        assert_eq!(no.hint.unwrap(), "did you mean `swappiness`?");
        let no = config_write(&rule(&["other"], None), &all).unwrap_err();
        assert!(no.hint.unwrap().contains("[params.other]"));
        assert!(config_write(&rule(&[], None), &all).is_err());
        for odd in [0, 17] {
            let no = config_write(&rule(&["pool"], Some(odd)), &all).unwrap_err();
            assert_eq!(no.place, "grant.config-write.max-changes");
        }
        let read = ConfigReadRule {
            params: vec![name("pool")],
        };
        let grant = config_read(&read, &all).unwrap();
        assert!(grant.param("pool").is_ok());
        let no = grant.param("swappiness").unwrap_err();
        assert_eq!(no.code, Code::Denied);
        assert!(
            no.hint
                .unwrap()
                .contains(r#"config-read.params = ["swappiness"]"#)
        );
    }

    #[test]
    fn rules_refuse_what_they_do_not_know() {
        let reload = serde_json::json!({ "params": ["pool"], "reload": "systemctl restart x" });
        assert!(serde_json::from_value::<ConfigWriteRule>(reload.clone()).is_err());
        assert!(serde_json::from_value::<ConfigReadRule>(reload).is_err());
    }

    proptest! {
        #[test]
        fn never_more_than_the_rule_and_never_more_changes(
            wanted in proptest::collection::vec("[abc]", 0..5), there in proptest::collection::btree_set("[abc]", 0..4),
            max in proptest::option::of(0u64..20), tries in 0u64..40,
        ) {
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let there: Vec<&str> = there.iter().map(String::as_str).collect();
            let all = declared(&there);
            match config_write(&rule(&wanted, max), &all) {
                Ok(grant) => {
                    prop_assert!(grant.params.keys().all(|k| wanted.contains(&k.as_str()) && all.contains_key(k)));
                    let (mut spent, price) = (0, Price { files: 0, bytes: 0, params: 1 });
                    let done = (0..tries).filter(|_| grant.charge(&mut spent, price).is_ok()).count();
                    prop_assert_eq!(done as u64, tries.min(grant.max_changes));
                    prop_assert_eq!(done as u64, spent);
                }
                Err(denial) => prop_assert!(
                    wanted.iter().any(|w| !there.contains(w)) || wanted.is_empty() || !(1..=16).contains(&max.unwrap_or(1)),
                    "{}", denial
                ),
            }
        }
    }
}
