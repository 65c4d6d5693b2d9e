//! `repo`: a repository of bundles, from its owner's, its publishers' and its readers' side.

mod verbs;

pub(crate) use self::verbs::Verb;
use super::reading::{now, wrote};
use super::run;
use crate::endorsement;
use crate::error::{Error, Result};
use crate::offer::{Listed, Offer};
use crate::show::{self, Format};
use crate::tuf::{self, Desk, Keys, Lifetimes, Publisher};
use keepwell_model::state::Exit;
use std::path::{Path, PathBuf};

pub(super) fn repo(format: Format, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Init {
            dir,
            roles,
            lifetimes,
        } => {
            let (roles, keys) = roles.read()?;
            run(Desk::init(dir, roles, &keys, *lifetimes, now()?))?;
            let root = dir.join(tuf::METADATA).join("1.root.json");
            let value = serde_json::json!({ "repository": dir, "root": root });
            let text = format!(
                "{} is ready; readers trust it from a copy of {}",
                dir.display(),
                root.display()
            );
            Ok(wrote(format, &value, text))
        }
        Verb::Add(it) => {
            let added = edit(&it.dir, &it.keys.key, it.lifetimes, |desk| {
                desk.add(&it.files)
            })?;
            Ok(show::rows(format, &added, |offer| {
                format!("added {}", line(offer))
            }))
        }
        Verb::Endorse(it) => {
            let change = |desk: &mut Desk| desk.endorse(&it.files);
            let endorsed = edit(&it.dir, &it.keys.key, it.lifetimes, change)?;
            Ok(show::rows(format, &endorsed, |offer| {
                format!("endorsed {}", line(offer))
            }))
        }
        Verb::Offer {
            dir,
            files,
            publisher,
            keys,
            lifetimes,
        } => {
            let keys = Keys::read(&keys.key)?;
            let offers = run(tuf::offer(dir, publisher, files, &keys, *lifetimes, now()?))?;
            Ok(show::rows(format, &offers, |offer| {
                format!("offers {}", line(offer))
            }))
        }
        Verb::Delegate {
            dir,
            publisher,
            names,
            public,
            from,
            keys,
            lifetimes,
        } => {
            let change = |desk: &mut Desk| desk.delegate(publisher, names, public, from);
            taken_over(format, publisher, edit(dir, &keys.key, *lifetimes, change)?)
        }
        Verb::Accept {
            dir,
            publisher,
            from,
            keys,
            lifetimes,
        } => {
            let change = |desk: &mut Desk| desk.accept(publisher, from);
            taken_over(format, publisher, edit(dir, &keys.key, *lifetimes, change)?)
        }
        Verb::Refresh {
            dir,
            keys,
            lifetimes,
        } => {
            edit(dir, &keys.key, *lifetimes, |_| Ok(()))?;
            let value = serde_json::json!({ "refreshed": dir });
            Ok(wrote(
                format,
                &value,
                format!("{} is signed anew", dir.display()),
            ))
        }
        Verb::Rotate {
            dir,
            old_key,
            roles,
            lifetimes,
        } => {
            let (roles, mut keys) = roles.read()?;
            keys.0.extend(Keys::read(old_key)?.0);
            let version = run(async {
                let mut desk = Desk::open(dir).await?;
                let version = desk.rotate(roles, &keys, *lifetimes, now()?).await?;
                desk.publish(&keys, *lifetimes, now()?).await?;
                Ok(version)
            })?;
            let value = serde_json::json!({ "root": version });
            Ok(wrote(
                format,
                &value,
                format!("root {version} is signed by old and new keys"),
            ))
        }
        Verb::Search { words, at, reading } => {
            let (reader, known) = at.open(reading, None)?;
            let found = run(async { Ok(tuf::search(&reader.look(&known).await?, words)) })?;
            Ok(show::rows(format, &found, offered))
        }
        Verb::Fetch {
            wanted,
            at,
            out,
            reading,
        } => {
            let (reader, known) = at.open(reading, Some(out))?;
            let came = run(async { tuf::fetch(&reader.look(&known).await?, wanted).await })?;
            let offer = &came.listed.offer;
            let file = out.join(format!("{}-{}.kwb", offer.plugin, offer.version));
            endorsement::write(&file, &came.kwb, came.endorsement.as_deref())?;
            let mut value = serde_json::to_value(&came.listed)
                .map_err(|e| Error::failed(format!("an offer has no form in JSON: {e}")))?;
            value["file"] = serde_json::json!(file);
            value["endorsed"] = came.endorsement.is_some().into();
            let text = format!("{} is {}", file.display(), offered(&came.listed));
            Ok(wrote(format, &value, text))
        }
    }
}

/// Opens, changes, and signs what has changed.
fn edit<T>(
    dir: &Path,
    keys: &[PathBuf],
    lifetimes: Lifetimes,
    change: impl FnOnce(&mut Desk) -> Result<T>,
) -> Result<T> {
    let keys = Keys::read(keys)?;
    run(async {
        let mut desk = Desk::open(dir).await?;
        let done = change(&mut desk)?;
        desk.publish(&keys, lifetimes, now()?).await?;
        Ok(done)
    })
}

fn taken_over(format: Format, publisher: &Publisher, bundles: usize) -> Result<Exit> {
    let value = serde_json::json!({ "publisher": publisher, "bundles": bundles });
    Ok(wrote(
        format,
        &value,
        format!("{publisher} offers {bundles} bundles here"),
    ))
}

fn line(offer: &Offer) -> String {
    format!(
        "{}@{}, release {}, bundle {}",
        offer.plugin,
        offer.version,
        offer.release,
        offer.bundle.short()
    )
}

fn offered(listed: &Listed) -> String {
    let by = listed
        .publisher
        .as_ref()
        .map_or(String::new(), |by| format!(", by {by}"));
    format!("{}{by}", line(&listed.offer))
}
