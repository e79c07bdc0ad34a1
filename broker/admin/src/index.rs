//! `/`: which endpoints there are.

use std::fmt::Write;

use crate::registry::{Handler, handler};
use crate::reply::Reply;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mainstem</title>
<style>
body { font: 1.1rem/1.8 system-ui, sans-serif; margin: 2rem; color-scheme: light dark }
a { display: block; width: max-content; font-family: ui-monospace, monospace }
</style>
</head>
<body>
<h1>Mainstem</h1>
"#;

/// Lists `paths` as links below `base_path`.
pub(crate) fn endpoint<'a>(base_path: &str, paths: impl Iterator<Item = &'a str>) -> Handler {
    let mut page = HEAD.to_owned();
    let base_path = escape(base_path);
    for path in paths.filter(|path| *path != "/") {
        let path = escape(path);
        // Writing to a string cannot fail.
        let _ = writeln!(page, r#"<a href="{base_path}{path}">{path}</a>"#);
    }
    page.push_str("</body>\n</html>\n");
    handler(move |_| {
        let page = page.clone();
        async move { Reply::Html(page) }
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
