//! PEM around DER: the text that key files have, read with whatever stands before it.
//!
//! Format: RFC 7468; other programs put text before the block, none of it is looked at.

use super::BadKey;
use data_encoding::BASE64;

/// Longest PEM worth reading: ours have a few hundred bytes, openssl may put text before it.
pub(crate) const PEM_MAX_BYTES: usize = 16 << 10;
/// Characters of base64 on a line.
const LINE: usize = 64;

pub(super) fn write(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// The first block of that label.
pub(super) fn read(label: &'static str, text: &str) -> Result<Vec<u8>, BadKey> {
    let text = text.get(..PEM_MAX_BYTES).unwrap_or(text);
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let (_, rest) = text.split_once(&begin).ok_or(BadKey::NoBlock { label })?;
    let (body, _) = rest.split_once(&end).ok_or(BadKey::Base64 { label })?;
    let base64: String = body.split_ascii_whitespace().collect();
    BASE64
        .decode(base64.as_bytes())
        .map_err(|_| BadKey::Base64 { label })
}
