//! Bundles: the signed file a plugin travels in, who may sign it, and what its component may
//! import. Bytes go in, verified values come out; only `keyfile` touches the disk.
//!
//! A `.kwb` is a deterministic ustar of an OCI image layout. Its first layer is a DSSE envelope
//! whose payload, an in-toto statement, holds the plugin's manifest; its second is the component.

mod agent;
mod approver;
mod bundle;
mod component;
mod document;
mod endorsement;
mod envelope;
mod error;
mod key;
mod keyfile;
mod layout;
mod lock;
pub mod parts;
mod sshsig;
mod statement;
mod strict;
pub mod tar;
mod trust;

pub use agent::{AGENT_REPLY_MAX_BYTES, agent_key, agent_request, agent_signature};
pub use approver::{
    ANSWER_MAX_BYTES, APPROVAL_TYPE, Approver, Approvers, ApproversError, BadApproverKey,
    parse_approver_key, sign_statement, verify_decision, with_ssh_signature,
};
pub use bundle::{
    Against, Bundle, Draft, Unsigned, UnverifiedInspection, add_signature, attach_signature, build,
    build_with, documents, inspect, open, pae,
};
pub use component::{
    COMPONENT_MAX_BYTES, ComponentError, Import, Scan, Sizes, check_against, encode, scan, sizes,
};
pub use document::components;
pub use endorsement::{
    ENDORSEMENT_MAX_BYTES, ENDORSEMENT_TYPE, endorse, endorsed, endorsement, endorsement_pae,
};
pub use envelope::{PAYLOAD_MAX_BYTES, PAYLOAD_TYPE, SIGNATURES_MAX};
pub use error::BundleError;
pub use key::{BadKey, PublicKey, SecretKey};
pub use keyfile::{KeyFileError, read_secret, write_secret};
pub use layout::{BUNDLE_MAX_BYTES, DOCUMENT_MAX_BYTES, Documents};
pub use lock::{
    Accepted, Lock, LockEntry, LockError, RolledBack, Standing, Trial, VERSIONS_MAX, joined,
    needs_seal, split,
};
pub use sshsig::{ARMOR_MAX_BYTES, BadSsh, SSH_NAMESPACE, SshSignature, parse_ssh_key};
pub use statement::{
    ComponentInfo, PREDICATE_TYPE, Predicate, RELEASE_MAX, STATEMENT_TYPE, Statement, Subject,
    SubjectDigest,
};
pub use trust::{
    Document, Endorsement, Publisher, Revocable, Revoked, Rule, Step, Trust, TrustError,
    TrustedKey, explain,
};
