//! `trust`: whose plugins this node accepts, and the most they may ask for.

use super::Global;
use crate::api::{Request, Target};
use crate::error::Result;
use crate::plugins;
use keepwell_model::capability::Capability;
use keepwell_model::grant::Tier;
use keepwell_model::state::Exit;

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
    /// Trust a key no more; what it signed does not run again.
    #[command(after_help = "Example:\n  keepwell trust revoke acme")]
    Revoke { name: String },
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
        Verb::Revoke { name } => change(global, name, Target::Revoke),
        Verb::Rotate { name, public } => {
            let public = public.clone();
            change(global, name, Target::Rotate { public })
        }
    }
}

fn show(global: &Global) -> Result<Exit> {
    let trust = plugins::trust(&global.dir())?;
    let rows: Vec<_> = trust
        .keys()
        .iter()
        .map(|(name, key)| {
            serde_json::json!({
                "name": name, "public": key.public.to_string(), "key_id": key.public.key_id(),
                "tier": key.tier, "names": key.names, "capabilities": key.capabilities,
            })
        })
        .collect();
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Array(items) => items
            .iter()
            .filter_map(|v| v.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    global.out().rows(
        &rows,
        &["name", "tier", "names", "capabilities", "public"],
        |row| {
            ["name", "tier", "names", "capabilities", "public"]
                .iter()
                .map(|k| text(&row[*k]))
                .collect()
        },
    );
    Ok(Exit::Done)
}

fn change(global: &Global, name: &str, change: Target) -> Result<Exit> {
    let name = name.to_owned();
    global.show(&global.ask(Request::Trust { name, change })?);
    Ok(Exit::Done)
}
