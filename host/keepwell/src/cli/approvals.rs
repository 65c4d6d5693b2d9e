//! `approvals`: what waits for whom, and answers, made here or signed elsewhere.

use super::Global;
use crate::api::{self, Request, all_waiting};
use crate::clock;
use crate::error::{Error, Result, chain};
use crate::node;
use crate::node_dir::write_file;
use crate::pipeline::Asked;
use crate::show;
use keepwell_model::approval::{Answer, REQUEST_MAX_BYTES, Statement, Voice};
use keepwell_model::id::RunId;
use keepwell_model::policy::Who;
use keepwell_model::state::Exit;
use keepwell_model::words::printable;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The plans that wait, oldest first.
    #[command(after_help = "Example:\n  keepwell approvals list")]
    List,
    /// What one of them would do, who asked, and what was answered.
    #[command(after_help = "Example:\n  keepwell approvals show last")]
    Show {
        /// A run, or the first digits of its request.
        run: String,
    },
    /// Let it be applied. Who asked for it cannot.
    #[command(after_help = "Example:\n  keepwell approvals grant 1f2e3d4c --reason 'looked at it'")]
    Grant {
        run: String,
        #[arg(long)]
        reason: String,
    },
    /// Turn it away. One denial is enough.
    #[command(after_help = "Example:\n  keepwell approvals deny 1f2e3d4c --reason 'not today'")]
    Deny {
        run: String,
        #[arg(long)]
        reason: String,
    },
    /// Write the request to a file, for an approver on another machine.
    #[command(after_help = "Example:\n  keepwell approvals export last --out request")]
    Export {
        run: String,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Answer an exported request with a key; needs no node.
    #[command(
        after_help = "Example:\n  keepwell approvals export last --out request\n  keepwell approvals sign request --grant --reason 'looked at it' --key alice.key --out answer\n  keepwell approvals import answer\n\nWith an SSH key, ssh-keygen signs (an agent is asked, if there is one):\n  keepwell approvals sign request --grant --reason ok --ssh-key ~/.ssh/id_ed25519 --out answer"
    )]
    Sign {
        /// An exported request.
        request: PathBuf,
        #[arg(long, conflicts_with = "deny", required_unless_present = "deny")]
        grant: bool,
        #[arg(long)]
        deny: bool,
        #[arg(long)]
        reason: String,
        /// A key as `keepwell bundle keygen` makes them.
        #[arg(
            long,
            value_name = "FILE",
            conflicts_with = "ssh_key",
            required_unless_present = "ssh_key"
        )]
        key: Option<PathBuf>,
        /// An SSH key, or the public half of one that an agent holds.
        #[arg(long, value_name = "FILE")]
        ssh_key: Option<PathBuf>,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take in a signed answer.
    #[command(after_help = "Example:\n  keepwell approvals import answer")]
    Import { answer: PathBuf },
}

pub(super) fn approvals(global: &Global, verb: &Verb) -> Result<Exit> {
    let answer = |run: &str, answer, reason: &str| {
        let (run, reason) = (run.to_owned(), reason.to_owned());
        let request = Request::Answer {
            run,
            answer,
            reason,
        };
        global.show(&global.ask(request)?);
        Ok(Exit::Done)
    };
    match verb {
        Verb::List => list(global),
        Verb::Show { run } => shown(global, run),
        Verb::Grant { run, reason } => answer(run, Answer::Grant, reason),
        Verb::Deny { run, reason } => answer(run, Answer::Deny, reason),
        Verb::Export { run, out } => {
            let (_, asked) = api::waiting(&node::reader(&global.dir())?, run)?;
            write_file(out, &asked.request.to_bytes(), 0o644)?;
            show::say(&format!(
                "the request is in {}; sign it with `keepwell approvals sign`",
                out.display()
            ));
            Ok(Exit::Done)
        }
        Verb::Sign {
            request,
            grant,
            reason,
            key,
            ssh_key,
            out,
            ..
        } => {
            let said = if *grant { Answer::Grant } else { Answer::Deny };
            sign(
                request,
                said,
                reason,
                key.as_deref(),
                ssh_key.as_deref(),
                out,
            )
        }
        Verb::Import { answer } => {
            let bytes = read(answer, keepwell_bundle::ANSWER_MAX_BYTES)?;
            let answer = data_encoding::BASE64.encode(&bytes);
            global.show(&global.ask(Request::Import { answer })?);
            Ok(Exit::Done)
        }
    }
}

fn list(global: &Global) -> Result<Exit> {
    let reader = node::reader(&global.dir())?;
    let waiting = all_waiting(&reader)?;
    let rows: Vec<Row<'_>> = waiting
        .iter()
        .map(|(run, asked)| Row(*run, asked))
        .collect();
    global.out().rows(
        &rows,
        &["run", "request", "task", "asked by", "answers", "until"],
        |Row(run, asked)| {
            let request = &asked.request;
            vec![
                run.short(),
                request.id().short(),
                request.task.to_string(),
                requester(asked),
                format!("{} of {}", asked.decisions.len(), request.needs.approvals),
                clock::readable(request.approve_by),
            ]
        },
    );
    if rows.is_empty() {
        show::say("nothing waits for approval");
    }
    Ok(Exit::Done)
}

/// One that waits, as JSON.
struct Row<'a>(RunId, &'a Asked);

impl serde::Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let asked = self.1;
        serde_json::json!({
            "run": self.0, "id": asked.request.id(), "request": asked.request,
            "decisions": asked.decisions,
        })
        .serialize(s)
    }
}

fn requester(asked: &Asked) -> String {
    let user = asked.request.requester.user.as_ref();
    user.map_or_else(|| "the host".to_owned(), |user| format!("user {user}"))
}

fn shown(global: &Global, run: &str) -> Result<Exit> {
    let reader = node::reader(&global.dir())?;
    let (run, asked) = api::waiting(&reader, run)?;
    let plan = reader.report(run)?.and_then(|report| report.plan);
    global.out().document(&Row(run, &asked), || {
        let request = &asked.request;
        let mut text = format!("request   {}\n", request.id());
        let _ = writeln!(text, "run       {run} of task {}", request.task);
        let _ = writeln!(text, "asked by  {}", requester(&asked));
        if let Some(plan) = &plan {
            let _ = writeln!(
                text,
                "plan      {} actions (digest {})",
                plan.actions, plan.digest
            );
        }
        let _ = writeln!(text, "component {}", request.subject.component);
        let _ = writeln!(
            text,
            "approve   until {}",
            clock::readable(request.approve_by)
        );
        let _ = writeln!(
            text,
            "apply     until {}",
            clock::readable(request.execute_by)
        );
        let _ = writeln!(text, "needs     {}", needs(&asked));
        for decision in &asked.decisions {
            let word = match decision.answer {
                Answer::Grant => "granted",
                Answer::Deny => "denied",
            };
            let _ = writeln!(
                text,
                "{word:<9} {} by {}: {}",
                clock::readable(decision.received),
                voice(&decision.approver),
                printable(&decision.reason, 200)
            );
        }
        let _ = write!(text, "look at   keepwell runs show {}", run.short());
        text
    });
    Ok(Exit::Done)
}

fn voice(voice: &Voice) -> String {
    match voice {
        Voice::Key(id) => format!("key {id}"),
        Voice::Peer(peer) => format!("user {}", peer.uid),
    }
}

fn needs(asked: &Asked) -> String {
    let needs = &asked.request.needs;
    let mut text = format!("{} approval(s)", needs.approvals);
    text.push_str(if needs.peer_suffices {
        ", signed or by the socket's credentials"
    } else {
        ", signed"
    });
    if !needs.who.iter().all(Who::is_anyone) {
        let who = serde_json::to_string(&needs.who).unwrap_or_default();
        let _ = write!(text, ", by {who}");
    }
    text
}

fn sign(
    request: &Path,
    answer: Answer,
    reason: &str,
    key: Option<&Path>,
    ssh_key: Option<&Path>,
    out: &Path,
) -> Result<Exit> {
    let bytes = read(request, REQUEST_MAX_BYTES)?;
    let parsed = keepwell_model::approval::Request::parse(&bytes).map_err(|e| {
        Error::usage(format!(
            "{} is no request: {}",
            request.display(),
            chain(&e)
        ))
    })?;
    let statement = Statement::new(&parsed, answer, clock::now_ms(), reason);
    let signed = match (key, ssh_key) {
        (Some(key), _) => {
            let secret = super::keys::read(key)?;
            keepwell_bundle::sign_statement(&statement, &secret)
                .map_err(|e| Error::failed(chain(&e)))?
        }
        (None, Some(ssh)) => {
            let armored = crate::ssh::sign(ssh, &statement.to_bytes())?;
            keepwell_bundle::with_ssh_signature(&statement, &armored)
        }
        (None, None) => return Err(Error::usage("name a key: --key FILE or --ssh-key FILE")),
    };
    write_file(out, &signed, 0o644)?;
    let word = match answer {
        Answer::Grant => "granted",
        Answer::Deny => "denied",
    };
    show::say(&format!(
        "{word}: run {} of task {} on node {}, plan {}; take {} to the node",
        parsed.run.short(),
        parsed.task,
        parsed.node,
        parsed.subject.plan.short(),
        out.display()
    ));
    Ok(Exit::Done)
}

fn read(path: &Path, most: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    std::fs::File::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::io("read", path, &e))?;
    if bytes.len() > most {
        return Err(Error::usage(format!(
            "{} is longer than {most} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}
