//! Keys are read as written, and nothing else is.

use super::*;

/// RFC 8410 section 10.3 gives this key, its public half and their encodings.
#[test]
fn the_key_of_the_standard() {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
               -----END PRIVATE KEY-----\n";
    let key = SecretKey::from_pem(pem).unwrap();
    assert_eq!(key.to_pem().unwrap(), pem);
    assert_eq!(
        key.public().to_pem(),
        "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
         -----END PUBLIC KEY-----\n"
    );
}

#[test]
fn public_keys_are_read_as_written_and_nothing_else_is() {
    let key = SecretKey::generate([7; 32]).public();
    assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
    assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
    let text = key.to_string();
    for bad in [
        "",
        "ed25519:",
        &text[8..],
        &text[..text.len() - 1],
        &format!("{text}="),
        &format!("{text}\n"),
        &text.replace("ed25519", "rsa"),
    ] {
        assert_eq!(bad.parse::<PublicKey>(), Err(BadKey::Text), "{bad}");
    }
}

#[test]
fn weak_points_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    // The identity again, spelled as y = p + 1.
    let mut spelled = [0xff; 32];
    spelled[0] = 0xee;
    spelled[31] = 0x7f;
    for point in [[0; 32], identity, spelled] {
        let text = format!("ed25519:{}", BASE64.encode(&point));
        assert_eq!(text.parse::<PublicKey>(), Err(BadKey::Weak), "{text}");
    }
}

#[test]
fn other_pem_is_refused() {
    let key = SecretKey::generate([7; 32]);
    let pem = key.to_pem().unwrap();
    for bad in [
        "",
        &key.public().to_pem(),
        &pem.replace("PRIVATE", "EC PRIVATE"),
    ] {
        let error = SecretKey::from_pem(bad).unwrap_err();
        assert!(matches!(error, BadKey::NoBlock { .. }), "{bad}");
    }
    let error = SecretKey::from_pem(&pem.replace("MC4C", "MC4D")).unwrap_err();
    assert!(matches!(error, BadKey::OtherKind { .. }));
    assert!(!format!("{key:?}").contains(&pem[50..80]));
}
