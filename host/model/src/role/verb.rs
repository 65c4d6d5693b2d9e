//! Which verb needs which role.

use super::Role;

/// The role each verb needs, sorted by verb. What works on files alone (`init`, `bundle build`,
/// `plugin new`) asks nobody and is not here.
pub const VERBS: &[(&str, Role)] = &[
    ("approvals deny", Role::Approver),
    ("approvals export", Role::Viewer),
    ("approvals grant", Role::Approver),
    // The signature inside says who decides; whoever carries the file need not be an approver.
    ("approvals import", Role::Viewer),
    ("approvals list", Role::Viewer),
    ("approvals show", Role::Viewer),
    ("audit checkpoint", Role::Auditor),
    ("audit export", Role::Auditor),
    ("audit prove", Role::Auditor),
    ("audit show", Role::Auditor),
    ("audit verify", Role::Auditor),
    ("baseline forget", Role::Operator),
    ("baseline make", Role::Operator),
    // Who did it is not who acknowledges it.
    ("break-glass ack", Role::Approver),
    // The policy names who may, by itself.
    ("break-glass apply", Role::Viewer),
    ("break-glass list", Role::Viewer),
    ("config check", Role::Viewer),
    ("config show", Role::Viewer),
    ("daemon reload", Role::Operator),
    ("doctor", Role::Viewer),
    ("findings", Role::Viewer),
    ("plan", Role::Operator),
    ("plugin accept", Role::TrustAdmin),
    ("plugin inspect", Role::Viewer),
    ("plugin install", Role::PluginAdmin),
    ("plugin list", Role::Viewer),
    ("plugin reject", Role::PluginAdmin),
    ("plugin remove", Role::PluginAdmin),
    ("plugin tighten", Role::Operator),
    ("plugin upgrade", Role::PluginAdmin),
    ("quarantine expire", Role::Operator),
    ("quarantine list", Role::Viewer),
    ("report", Role::Viewer),
    ("run", Role::Operator),
    ("runbook exec", Role::Operator),
    ("runbook list", Role::Viewer),
    ("runs adjust", Role::Operator),
    ("runs cancel", Role::Operator),
    ("runs changes", Role::Viewer),
    ("runs confirm", Role::Operator),
    ("runs extend", Role::Operator),
    ("runs follow", Role::Viewer),
    ("runs list", Role::Viewer),
    ("runs prioritize", Role::Operator),
    ("runs prune", Role::Operator),
    ("runs resume", Role::Operator),
    ("runs show", Role::Viewer),
    ("schedule create", Role::Operator),
    ("schedule list", Role::Viewer),
    ("schedule next", Role::Viewer),
    ("schedule update", Role::Operator),
    ("schedule validate", Role::Viewer),
    ("schedule view", Role::Viewer),
    ("status", Role::Viewer),
    ("store create", Role::Operator),
    ("store import", Role::Operator),
    ("store list", Role::Viewer),
    ("store status", Role::Viewer),
    ("task backfill", Role::Operator),
    ("task check", Role::Operator),
    ("task done", Role::Operator),
    ("task list", Role::Viewer),
    ("task pause", Role::Operator),
    ("task resume", Role::Operator),
    ("task run-now", Role::Operator),
    ("task show", Role::Viewer),
    ("task skip", Role::Operator),
    ("task state clear", Role::Operator),
    ("task state list", Role::Viewer),
    // Values may be anything, and nobody declared them to be for all eyes.
    ("task state show", Role::Operator),
    ("trust add", Role::TrustAdmin),
    ("trust explain", Role::Viewer),
    ("trust remove", Role::TrustAdmin),
    ("trust revoke", Role::TrustAdmin),
    ("trust rotate", Role::TrustAdmin),
    ("trust show", Role::Viewer),
    ("undo", Role::Operator),
];

/// The role `verb` needs. `None`: the table does not know it, and nobody may use it.
pub fn needed(verb: &str) -> Option<Role> {
    let at = VERBS.binary_search_by_key(&verb, |(verb, _)| verb).ok()?;
    Some(VERBS[at].1)
}

/// Verbs that only look at the node and name no file, sorted. The daemon does them for whoever
/// cannot read the node directory.
pub const LOOKS: &[&str] = &[
    "approvals list",
    "approvals show",
    "audit show",
    "break-glass list",
    "config show",
    "findings",
    "plugin list",
    "quarantine list",
    "report",
    "runs changes",
    "runs list",
    "runs show",
    "schedule list",
    "schedule next",
    "schedule view",
    "status",
    "store list",
    "task list",
    "task show",
    "task state list",
    "trust explain",
    "trust show",
];

/// Which of [`LOOKS`] a command line begins with.
pub fn look(words: &[String]) -> Option<&'static str> {
    (1..=words.len().min(3)).find_map(|n| {
        let verb = words[..n].join(" ");
        let at = LOOKS.binary_search(&verb.as_str()).ok()?;
        Some(LOOKS[at])
    })
}
