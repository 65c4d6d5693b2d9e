//! Any other store whose file names are digests, as the operator describes it.

use super::super::layout::{From, Layout, LayoutError, Rule, Transform};
use super::Kind;
use keepwell_model::store::{CasLayout, Transform as CasTransform};

#[derive(Debug)]
pub(super) struct Cas(pub(super) CasLayout);

impl Kind for Cas {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let said = &self.0;
        if said.templates.is_empty() {
            return Err(LayoutError::Templates { count: 0 });
        }
        let transform = match said.transform {
            CasTransform::None => Transform::None,
            CasTransform::Zlib => Transform::Zlib,
            CasTransform::Zstd => Transform::Zstd,
        };
        let rule = |template| Rule {
            template,
            digest: said.digest,
            encoding: said.encoding,
            from: From::Content(transform),
        };
        let rules: Vec<Rule<'_>> = said.templates.iter().map(|t| rule(t.as_str())).collect();
        let (ignore, temporary) = (texts(&said.ignore), texts(&said.temporary));
        Layout::new(&rules, &ignore, &temporary).map(Some)
    }
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
