//! One spelling for each request and statement, and the bounds of what is in them.

use super::*;
use crate::units::Span;

#[test]
fn requests_and_statements_have_one_spelling() {
    let request = request(2);
    let bytes = request.to_bytes();
    assert_eq!(Request::parse(&bytes).unwrap(), request);
    let text = String::from_utf8(bytes).unwrap();
    let bad = |text: &str| Request::parse(text.as_bytes()).unwrap_err();
    assert_eq!(
        bad(&text.replace("request-v1", "request-v2")),
        BadRequest::Domain
    );
    assert_eq!(
        bad(&text.replace("\"run\":", "\"run\": ")),
        BadRequest::Spelling
    );
    assert_eq!(bad(&format!("{text}\n")), BadRequest::Spelling);
    assert!(matches!(
        bad(&text.replace("\"run\"", "\"ran\"")),
        BadRequest::Json(_)
    ));
    let doubled = text.replacen("{", r#"{"node":"x","#, 1);
    assert!(matches!(bad(&doubled), BadRequest::Json(_)));
    assert!(matches!(
        bad(&"x".repeat(REQUEST_MAX_BYTES + 1)),
        BadRequest::TooLarge(_)
    ));
    assert_eq!(bad(&text.replace("node-7", "")), BadRequest::Node);
    let statement = Statement::new(&request, Answer::Deny, NOW, "a \"b\"\n");
    let bytes = statement.to_bytes();
    assert_eq!(Statement::parse(&bytes), Ok(statement));
    let text = String::from_utf8(bytes).unwrap();
    for bad in [
        text.replace("approval-v1", "approval-request-v1"),
        text.replace(':', ": "),
        text.replace("deny", "maybe"),
        format!("{text} "),
        text.replacen("{", r#"{"answer":"grant","#, 1),
        "x".repeat(STATEMENT_MAX_BYTES + 1),
    ] {
        let refused = Statement::parse(bad.as_bytes());
        assert!(matches!(refused, Err(Refused::Damaged(_))), "{bad:.80}");
    }
}

/// The encodings are part of the format: a change here makes every open request void.
#[test]
fn canonical_bytes() {
    let request = request(1);
    let text = String::from_utf8(request.to_bytes()).unwrap();
    let d = |text: &str| Digest::of(text.as_bytes());
    assert_eq!(
        text,
        format!(
            "keepwell-approval-request-v1\n{{\"node\":\"node-7\",\"task\":\"temp-clean\",\
             \"run\":\"{}\",\"requester\":{{\"user\":1000,\"key\":\"asker-key\"}},\
             \"subject\":{{\"plan\":\"{}\",\"component\":\"{}\",\"grant\":\"{}\",\
             \"settings\":\"{}\"}},\"created\":1764000000000,\"approve-by\":1764086400000,\
             \"execute-by\":1764172800000,\"needs\":{{\"approvals\":1,\"approve-within\":\"1d\",\
             \"execute-within\":\"2d\",\"peer-suffices\":false,\"yes-suffices\":false,\
             \"who\":[]}}}}\n",
            request.run,
            d("plan"),
            d("component"),
            d("grant"),
            d("settings")
        )
    );
    assert_eq!(request.id().to_string(), d(&text).to_string());
    let statement = Statement::new(&request, Answer::Grant, NOW, "ok");
    assert_eq!(
        String::from_utf8(statement.to_bytes()).unwrap(),
        format!(
            "keepwell-approval-v1\n{{\"node\":\"node-7\",\"request\":\"{}\",\"answer\":\"grant\",\
             \"at\":1764000000000,\"reason\":\"ok\"}}\n",
            request.id()
        )
    );
}

#[test]
fn odd_nodes_times_and_reasons_are_refused() {
    let make = |node: &str, within: u64| {
        let needs = Needs {
            approve_within: Span::secs(within),
            ..Needs::default()
        };
        let task = TaskName::new("t").unwrap();
        let run = RunId::new(NOW, [7; 10]);
        Request::new(node, task, run, asker(), subject(), needs, NOW)
    };
    assert!(make(&"n".repeat(NODE_MAX_BYTES), 1).is_ok());
    assert_eq!(
        make(&"n".repeat(NODE_MAX_BYTES + 1), 1),
        Err(BadRequest::Node)
    );
    assert_eq!(make("a\nb", 1), Err(BadRequest::Node));
    assert_eq!(make("n", 0), Err(BadRequest::Times));
    assert_eq!(make("n", 3 * 86_400), Err(BadRequest::Times));
    let request = request(1);
    let long = |n: usize| Statement::new(&request, Answer::Deny, NOW, &"r".repeat(n));
    assert_eq!(long(REASON_MAX_BYTES).check(&request, NOW), Ok(()));
    let refused = long(REASON_MAX_BYTES + 1).check(&request, NOW);
    assert_eq!(refused, Err(Refused::Reason(REASON_MAX_BYTES + 1)));
}
