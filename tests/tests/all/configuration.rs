//! Configuration that is wrong: exit 78, the file, the line, and what was probably meant.

use crate::harness::{Node, shared};

/// Written to `tasks/clean.toml`; `config check` must name that file, the line and the words.
#[track_caller]
fn bad_task(node: &Node, text: &str, line: usize, words: &[&str]) {
    node.task("clean", text);
    named(node, "clean.toml", line, words);
}

#[track_caller]
fn named(node: &Node, file: &str, line: usize, words: &[&str]) {
    let out = node.keepwell(&["config", "check"]);
    out.exits(78).says(words);
    let out = node.keepwell(&["config", "check", "-o", "json"]);
    out.exits(78);
    let text = if out.out.trim().is_empty() {
        &out.err
    } else {
        &out.out
    };
    let told: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    let places = told["error"]["places"].as_array().unwrap();
    let place = places
        .iter()
        .find(|p| p["file"].as_str().unwrap().ends_with(file));
    assert_eq!(place.unwrap()["line"], line, "{told:#}");
}

#[test]
fn a_task_that_is_wrong_is_shown_with_its_line() {
    let node = Node::new(shared());
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-clean'\nsetings = {}\n",
        3,
        &["unknown field `setings`", "did you mean `settings`?"],
    );
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-clean'\n[settings]\nolder-then = '1h'\n",
        4,
        &["has no setting `older-then`", "did you mean `older-than`?"],
    );
    // What a setting may be comes from the type of the plugin's own field.
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-clean'\n[settings]\nage-by = 'oldest'\n",
        4,
        &["setting `age-by` is \"oldest\"", "one of newest, modified"],
    );
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-clean'\n[settings]\nolder-than = ['1h']\n",
        4,
        &["setting `older-than`", "expected a text: a number and ms"],
    );
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-clean'\n[settings]\nunit = 'file'\nolder-than = 'soon'\n",
        5,
        &["setting `older-than` is \"soon\"", "for example `24h`"],
    );
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-clean'\n[settings]\nempty-directories = 'maybe'\n",
        4,
        &["setting `empty-directories`", "expected true or false"],
    );
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-claen'\n",
        2,
        &["has no task `temp-claen`", "did you mean `temp-clean`?"],
    );
    bad_task(
        &node,
        "plugin = 'claen'\n",
        1,
        &["plugin `claen` is not installed", "did you mean `clean`?"],
    );
    let grant = |rule: &str| {
        format!(
            "plugin = 'clean'\ntask = 'temp-clean'\n[grant]\nstorage = {{ roots = ['tmp'] }}\n{rule}\n"
        )
    };
    bad_task(
        &node,
        &grant("storage-clean = { roots = ['tpm'] }"),
        5,
        &["`tpm`", "did you mean `tmp`?"],
    );
    bad_task(
        &node,
        &grant("storage-clean = { roots = ['tmp'], max-file = 1 }"),
        5,
        &["unknown field `max-file`", "did you mean `max-files`?"],
    );
    bad_task(
        &node,
        &grant("storage-clean = { roots = ['tmp'], min-age = '1 hour' }"),
        5,
        &["`1 hour` is not"],
    );
    bad_task(
        &node,
        &grant("storage-clean = { roots = ['tmp'], max-share = '120%' }"),
        5,
        &["120%"],
    );
    bad_task(&node, &grant("metrics = {}"), 5, &["metrics"]);
    bad_task(
        &node,
        "plugin = 'clean'\ntask = 'temp-clean'\n[limits]\nmemory = '1TiB'\n",
        4,
        &["limit `memory`", "must lie between"],
    );
    bad_task(&node, "plugin = 'clean'\ntask = \n", 2, &[]);
    bad_task(
        &node,
        "task = 'temp-clean'\n",
        1,
        &["missing field `plugin`"],
    );
}

#[test]
fn a_node_that_is_wrong_is_shown_with_its_line() {
    let node = Node::new(shared());
    let write = |text: &str| std::fs::write(node.dir().join("keepwell.toml"), text).unwrap();
    write("[node]\nname = 'n'\n[rots.tmp]\npath = '/tmp/x'\n");
    named(
        &node,
        "keepwell.toml",
        3,
        &["unknown field `rots`", "did you mean `roots`?"],
    );
    write("[roots.tmp]\npath = 'relative'\n");
    named(&node, "keepwell.toml", 2, &["is not absolute"]);
    write("[roots.tmp]\npath = '/tmp/x'\nprotect = ['{a,b']\n");
    named(&node, "keepwell.toml", 3, &["bad glob"]);
    write("[quarantine]\nkeep = '59m'\n");
    named(&node, "keepwell.toml", 2, &["must be kept for 1h at least"]);
    write("[quarantine]\nkeep = '1h'\n[daemon]\nsocket = 'run/k.sock'\n");
    named(&node, "keepwell.toml", 4, &["`run/k.sock` is not absolute"]);
    write("[roots.'not a name']\npath = '/tmp/x'\n");
    named(&node, "keepwell.toml", 1, &[]);
    write("[stores.s]\nkind = 'restik'\npath = '/tmp/x'\n");
    named(&node, "keepwell.toml", 2, &["restik", "restic"]);
}

/// All problems of all files come at once, and a run under such a configuration does not begin.
#[test]
fn all_problems_are_told_together_and_nothing_runs() {
    let node = Node::new(shared());
    node.task("honest", "plugin = 'hostile'\n");
    node.task("one", "plugin = 'hostile'\nx = 1\n");
    node.task("two", "plugin = 'hostile'\ny = 1\n");
    node.keepwell(&["config", "check"])
        .exits(78)
        .says(&["one.toml", "two.toml"]);
    let runs = node.journal(&["--kind", "run-due"]).len();
    node.keepwell(&["run", "honest"]).exits(78);
    assert_eq!(node.journal(&["--kind", "run-due"]).len(), runs);
}

#[test]
fn what_is_not_there_is_named() {
    let node = Node::new(shared());
    node.task("honest", "plugin = 'hostile'\n");
    node.keepwell(&["run", "honset"])
        .exits(2)
        .says(&["there is no task `honset`", "did you mean `honest`?"]);
    node.keepwell(&["runs", "show", "ffffffff"]).exits(2);
    node.keepwell(&["undo", "last"]).exits(2);
    let nowhere = node.scratch().join("nowhere");
    let out = crate::harness::keepwell(Some(&nowhere), &["run", "honest"]);
    out.exits(78)
        .says(&["is not a node directory", "keepwell init DIR"]);
    assert!(!nowhere.exists());
}

#[test]
fn the_schemas_describe_every_table() {
    let node = Node::new(shared());
    let schema = |args: &[&str], keys: &[&str]| {
        let out = node.keepwell(&[&["config", "schema"], args].concat());
        let schema = out.exits(0).json().to_string();
        for key in keys {
            assert!(schema.contains(key), "`{key}` is not in the schema");
        }
    };
    schema(&[], &["roots", "stores", "protect", "quarantine"]);
    schema(
        &["--task"],
        &["storage-clean", "max-share", "age-by", "wall", "settings"],
    );
    schema(&["--schedule"], &["slots", "stop-on", "zone", "cutoff"]);
}

#[test]
fn a_plugin_says_what_its_settings_may_be() {
    let node = Node::new(shared());
    let shown = node.keepwell(&["plugin", "inspect", "clean", "--json"]);
    let shown = shown.exits(0).json();
    let tasks = shown["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|t| t["task"] == "temp-clean").unwrap();
    let schema = &task["settings_schema"];
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["additionalProperties"], false);
    let of = &schema["properties"];
    assert_eq!(of["unit"]["enum"], serde_json::json!(["file", "tree"]));
    assert_eq!(of["empty-directories"]["type"], "boolean");
    assert_eq!(of["globs"]["items"]["type"], "string");
    let span = &of["older-than"];
    assert_eq!(
        [&span["type"], &span["format"], &span["default"]],
        ["string", "span", "24h"]
    );
}
