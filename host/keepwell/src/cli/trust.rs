//! `trust`: whose plugins this node accepts, and the most they may ask for.

use super::Global;
use crate::api::{Request, Target};
use crate::clock::readable;
use crate::error::{Error, Result};
use crate::plugins;
use keepwell_bundle::{Rule, Step, Trust};
use keepwell_model::capability::Capability;
use keepwell_model::grant::Tier;
use keepwell_model::state::Exit;
use serde_json::json;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The keys this node trusts.
    #[command(after_help = "Example:\n  keepwell trust show")]
    Show,
    /// Trust a key.
    #[command(
        after_help = "Example:\n  keepwell trust add acme ed25519:… --tier third-party --names 'acme-*' --capability metrics"
    )]
    Add {
        name: String,
        /// `ed25519:…`, as `keepwell bundle keygen` prints it.
        public: String,
        #[arg(long, value_enum, default_value = "third-party")]
        tier: TierName,
        /// Globs of the plugin names it may sign.
        #[arg(long = "names", value_name = "GLOB", required = true)]
        names: Vec<String>,
        /// The capabilities its plugins may ask for.
        #[arg(long = "capability", value_name = "NAME", value_parser = parse_capability)]
        capabilities: Vec<Capability>,
    },
    /// Trust a key no more, without ill will: it may be added again.
    #[command(after_help = "Example:\n  keepwell trust remove acme")]
    Remove { name: String },
    /// Revoke a key, a bundle or a component for good: what it vouched for goes into quarantine, the
    /// tasks that use it are paused, and whoever adds it again is refused.
    #[command(
        after_help = "Example:\n  keepwell trust revoke acme --reason 'the laptop was stolen'"
    )]
    Revoke {
        /// A key by its name.
        #[arg(required_unless_present_any = ["key_id", "bundle", "component"])]
        name: Option<String>,
        /// A key that is not in the trust file, by its id.
        #[arg(long, value_name = "HEX", conflicts_with = "name")]
        key_id: Option<String>,
        /// One bundle, by its id.
        #[arg(long, value_name = "DIGEST", conflicts_with_all = ["name", "key_id"])]
        bundle: Option<String>,
        /// A component, in whatever bundle it comes.
        #[arg(long, value_name = "DIGEST", conflicts_with_all = ["name", "key_id", "bundle"])]
        component: Option<String>,
        #[arg(long)]
        reason: String,
    },
    /// Why an installed plugin is or is not admitted: signatures, publishers, revocations, endorsement.
    #[command(after_help = "Example:\n  keepwell trust explain clean")]
    Explain { plugin: String },
    /// Replace a trusted key by a new one with the same rights.
    #[command(after_help = "Example:\n  keepwell trust rotate acme ed25519:…")]
    Rotate { name: String, public: String },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum TierName {
    Own,
    Partner,
    ThirdParty,
}

pub(super) fn parse_capability(text: &str) -> Result<Capability, String> {
    Capability::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Capability::ALL.iter().map(|c| c.name()).collect();
        format!("known capabilities: {}", known.join(", "))
    })
}

pub(super) fn trust(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Show => show(global),
        Verb::Add {
            name,
            public,
            tier,
            names,
            capabilities,
        } => {
            let tier = match tier {
                TierName::Own => Tier::Own,
                TierName::Partner => Tier::Partner,
                TierName::ThirdParty => Tier::ThirdParty,
            };
            let change_to = Target::Add {
                public: public.clone(),
                tier,
                names: names.clone(),
                capabilities: capabilities.clone(),
            };
            change(global, name, change_to)
        }
        Verb::Remove { name } => change(global, name, Target::Remove),
        Verb::Revoke {
            name,
            key_id,
            bundle,
            component,
            reason,
        } => {
            let reason = reason.clone();
            let (what, target) = match (name, key_id, bundle, component) {
                (Some(name), ..) => (name, Target::Revoke { reason }),
                (None, Some(id), ..) => (id, Target::RevokeKeyId { reason }),
                (None, None, Some(id), _) => (id, Target::RevokeBundle { reason }),
                (None, None, None, Some(id)) => (id, Target::RevokeComponent { reason }),
                (None, None, None, None) => return Err(Error::usage("nothing to revoke is named")),
            };
            change(global, what, target)
        }
        Verb::Explain { plugin } => explain(global, plugin),
        Verb::Rotate { name, public } => {
            let public = public.clone();
            change(global, name, Target::Rotate { public })
        }
    }
}

/// Everything the file says, one line for each thing.
fn show(global: &Global) -> Result<Exit> {
    let rows = rows(&plugins::trust(&global.dir())?);
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Array(items) => items
            .iter()
            .filter_map(|v| v.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let columns = [
        "what",
        "name",
        "tier",
        "names",
        "capabilities",
        "state",
        "public",
    ];
    global.out().rows(&rows, &columns, |row| {
        columns.iter().map(|k| text(&row[*k])).collect()
    });
    Ok(Exit::Done)
}

fn rows(trust: &Trust) -> Vec<serde_json::Value> {
    let revoked = trust.revoked();
    let mut rows = vec![];
    for (name, key) in trust.keys() {
        let key_id = key.public.key_id();
        let state = match (revoked.keys.get(&key_id), key.not_after_ms) {
            (Some(reason), _) => format!("revoked: {reason}"),
            (None, Some(end)) => format!("until {}", readable(end)),
            (None, None) => String::new(),
        };
        let own = json!({
            "what": "key", "name": name, "public": key.public.to_string(), "key_id": key_id,
            "state": state,
        });
        rows.push(with_rule(own, key.rule.as_ref()));
    }
    for (name, it) in trust.publishers() {
        let state = of_keys(it.threshold, &it.keys);
        let own = json!({ "what": "publisher", "name": name, "state": state });
        rows.push(with_rule(own, Some(&it.rule)));
    }
    if let Some(site) = trust.endorsement() {
        let state = of_keys(site.threshold, &site.keys);
        rows.push(json!({ "what": "endorsement", "names": site.tiers, "state": state }));
    }
    let listed = |id: &str| trust.keys().values().any(|key| key.public.key_id() == id);
    let keys = revoked.keys.iter().filter(|(id, _)| !listed(id));
    let gone = keys.map(|(id, why)| ("key-id", id.clone(), why));
    let gone = gone.chain(
        revoked
            .bundles
            .iter()
            .map(|(id, why)| ("bundle", id.to_string(), why)),
    );
    let components = revoked.components.iter();
    let gone = gone.chain(components.map(|(id, why)| ("component", id.to_string(), why)));
    for (what, name, reason) in gone {
        rows.push(json!({ "what": what, "name": name, "state": format!("revoked: {reason}") }));
    }
    for (plugin, least) in trust.min_release() {
        let state = format!("at least release {least}");
        rows.push(json!({ "what": "plugin", "name": plugin, "state": state }));
    }
    rows
}

fn of_keys(threshold: usize, keys: &[String]) -> String {
    format!("{threshold} of {}", keys.join(", "))
}

fn with_rule(mut row: serde_json::Value, rule: Option<&Rule>) -> serde_json::Value {
    if let Some(rule) = rule {
        row["tier"] = json!(rule.tier);
        row["names"] = json!(rule.names);
        row["capabilities"] = json!(rule.capabilities);
        row["max"] = json!(rule.max);
    }
    row
}

fn explain(global: &Global, wanted: &str) -> Result<Exit> {
    let dir = global.dir();
    let trust = plugins::trust(&dir)?;
    Ok(print_steps(
        global,
        &plugins::explain(&dir, &trust, wanted)?,
    ))
}

/// Exits 4 when the verdict is no.
pub(super) fn print_steps(global: &Global, steps: &[Step]) -> Exit {
    global
        .out()
        .rows(steps, &["step", "holds", "says"], |step| {
            let holds = if step.holds { "yes" } else { "no" };
            vec![step.step.to_owned(), holds.to_owned(), step.says.clone()]
        });
    match steps.last() {
        Some(verdict) if verdict.holds => Exit::Done,
        Some(_) | None => Exit::Denied,
    }
}

fn change(global: &Global, name: &str, change: Target) -> Result<Exit> {
    let name = name.to_owned();
    global.show(&global.ask(Request::Trust { name, change })?);
    Ok(Exit::Done)
}
