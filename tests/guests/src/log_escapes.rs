//! Writes what would rule a terminal or forge lines, wherever text is taken.

use keepwell_sdk::prelude::*;

behaviour!(
    LogEscapes,
    "log-escapes",
    "Writes terminal escapes, bidi marks and forged lines",
    [],
    run
);

/// Colours, clearing, a title, a link, 8-bit CSI, bidi overrides, line breaks of every kind, a
/// forged line, NUL, a byte order mark, a lone combining mark.
const TEXTS: [&str; 10] = [
    "\u{1b}[31mred\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://example.invalid\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{9b}31mcsi",
    "\u{202e}txt.exe\u{2066}",
    "first\r\nkeepwell: all is well",
    "line\u{2028}paragraph\u{2029}next\u{85}",
    "nul\0after",
    "\u{feff}bom",
    "\u{301}\u{301}\u{301}",
];

fn run() -> Result<Summary, Failure> {
    for text in TEXTS {
        log::info!("{text}");
        progress(1, 1, text, text);
        finding(Severity::Info, "escapes", text, text)
            .detail(text)
            .fact(text, text)
            .report();
    }
    Ok(Summary::done(TEXTS.concat()).with(&json!({ "texts": TEXTS })))
}
