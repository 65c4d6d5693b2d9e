//! What is said to an ssh-agent that holds a key, as bytes: a raw signature over exactly the message,
//! which is what bundles carry. The connection is the caller's.
//!
//! Format: draft-ietf-sshm-ssh-agent; keys as RFC 8709 (Ed25519) and RFC 5656 (ECDSA) write them.

use crate::key::PublicKey;
use crate::sshsig::{BadSsh, Reader, put};
use data_encoding::BASE64;

/// Longest answer worth reading: a signature has some hundred bytes.
pub const AGENT_REPLY_MAX_BYTES: usize = 4 << 10;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const ED25519: &str = "ssh-ed25519";
const P256: &str = "ecdsa-sha2-nistp256";
const CURVE: &str = "nistp256";

/// The key of a line as it stands in `id_ed25519.pub` or `id_ecdsa.pub`.
pub fn agent_key(line: &str) -> Result<PublicKey, BadSsh> {
    let base64 = line.split_ascii_whitespace().nth(1);
    let blob = base64.and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let blob = blob.ok_or(BadSsh::KeyLine)?;
    let mut rest = Reader(&blob);
    let weak = |_| BadSsh::Damaged("the public key is not a usable point");
    let kind = rest.string()?;
    let key = if kind == ED25519.as_bytes() {
        let point = rest.string()?.try_into();
        let point = point.map_err(|_| BadSsh::Damaged("the public key is not 32 bytes"))?;
        PublicKey::from_bytes(point).map_err(weak)?
    } else if kind == P256.as_bytes() && rest.string()? == CURVE.as_bytes() {
        PublicKey::p256(rest.string()?).map_err(weak)?
    } else {
        return Err(BadSsh::Damaged("expected an Ed25519 or a P-256 key"));
    };
    rest.end()?;
    Ok(key)
}

/// The request to sign this message, with its length in front.
pub fn agent_request(key: &PublicKey, message: &[u8]) -> Vec<u8> {
    let mut blob = vec![];
    match key {
        PublicKey::Ed25519(point) => {
            put(&mut blob, ED25519.as_bytes());
            put(&mut blob, point.as_bytes());
        }
        PublicKey::P256(point) => {
            put(&mut blob, P256.as_bytes());
            put(&mut blob, CURVE.as_bytes());
            put(&mut blob, &point.to_sec1_point(false).to_bytes());
        }
    }
    let mut body = vec![SIGN_REQUEST];
    put(&mut body, &blob);
    put(&mut body, message);
    // No flags: they choose among the hashes of RSA.
    body.extend(0u32.to_be_bytes());
    let mut request = vec![];
    put(&mut request, &body);
    request
}

/// The signature in the answer, its length in front taken off, as bundles have it. `None`: the agent
/// does not hold the key, or its user said no.
pub fn agent_signature(key: &PublicKey, reply: &[u8]) -> Result<Option<Vec<u8>>, BadSsh> {
    let Some((&SIGN_RESPONSE, body)) = reply.split_first() else {
        return Ok(None);
    };
    let mut body = Reader(body);
    let mut signature = Reader(body.string()?);
    body.end()?;
    let kind = signature.string()?;
    let raw = signature.string()?;
    signature.end()?;
    let expected = match key {
        PublicKey::Ed25519(_) => ED25519,
        PublicKey::P256(_) => P256,
    };
    if kind != expected.as_bytes() {
        return Err(BadSsh::Damaged("it signed with another kind of key"));
    }
    match key {
        PublicKey::Ed25519(_) => Ok(Some(raw.to_vec())),
        PublicKey::P256(_) => {
            let mut numbers = Reader(raw);
            let (r, s) = (scalar(numbers.string()?)?, scalar(numbers.string()?)?);
            numbers.end()?;
            let it = p256::ecdsa::Signature::from_scalars(r, s)
                .map_err(|_| BadSsh::Damaged("its signature is none"))?;
            Ok(Some(it.to_der().as_bytes().to_vec()))
        }
    }
}

/// A number as SSH writes it: no more bytes than needed, a zero in front of a set first bit.
fn scalar(number: &[u8]) -> Result<[u8; 32], BadSsh> {
    let number = number.strip_prefix(&[0]).unwrap_or(number);
    let mut padded = [0; 32];
    let at = padded.len().checked_sub(number.len());
    let at = at.ok_or(BadSsh::Damaged("its signature is too long"))?;
    padded[at..].copy_from_slice(number);
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    /// As an agent answers: both numbers of ECDSA as SSH writes them.
    fn reply(kind: &str, raw: &[u8]) -> Vec<u8> {
        let mut signature = vec![];
        put(&mut signature, kind.as_bytes());
        put(&mut signature, raw);
        let mut reply = vec![SIGN_RESPONSE];
        put(&mut reply, &signature);
        reply
    }

    #[test]
    fn an_answer_is_the_signature_of_the_message() {
        let key = SecretKey::generate([3; 32]);
        let raw = key.sign(b"message");
        let signature = agent_signature(&key.public(), &reply(ED25519, &raw)).unwrap();
        assert_eq!(signature, Some(raw));
        assert_eq!(agent_signature(&key.public(), &[5]).unwrap(), None);
        assert_eq!(agent_signature(&key.public(), b"").unwrap(), None);

        let key = SecretKey::generate_p256([3; 32]).unwrap();
        let der = key.sign(b"message");
        let it = p256::ecdsa::Signature::from_der(&der).unwrap();
        let (r, s) = it.split_bytes();
        let mut numbers = vec![];
        put(&mut numbers, &[&[0], &r[..]].concat());
        put(&mut numbers, &s);
        let signature = agent_signature(&key.public(), &reply(P256, &numbers)).unwrap();
        assert_eq!(signature, Some(der));
        assert!(agent_signature(&key.public(), &reply(ED25519, &numbers)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_answered(
            first in 13u8..16,
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            ed in proptest::prelude::any::<bool>(),
        ) {
            let key = if ed {
                SecretKey::generate([3; 32])
            } else {
                SecretKey::generate_p256([3; 32]).unwrap()
            };
            let reply = [&[first], &rest[..]].concat();
            let answer = agent_signature(&key.public(), &reply);
            proptest::prop_assert!(first == SIGN_RESPONSE || answer == Ok(None));
        }
    }
}
