//! The dashboard, embedded; or a page that says how to build it.
//!
//! Owns the files of `ui/dist` as they were when this crate was built, and how a browser may use them. The
//! console serves them: [`asset`] for a path that names a file, [`page`] for every other, because the
//! dashboard finds its way by the address itself.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::Write;

use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Dist;

const PLACEHOLDER: &[u8] = include_bytes!("placeholder.html");

/// What the pages may load: only what the console itself serves, and no script that stands in a page.
///
/// Styles may stand in elements, because the component library positions what it draws that way.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// One file, ready to be served.
#[derive(Debug, Clone)]
pub struct Asset {
    pub content: Cow<'static, [u8]>,
    /// For `Content-Type`.
    pub media_type: String,
    /// For `ETag`, with its quotes.
    pub etag: String,
    /// Whether the name contains a hash of the content, so that a browser may keep the file for good.
    pub immutable: bool,
}

impl Asset {
    fn new(path: &str, file: EmbeddedFile) -> Asset {
        let media_type = file.metadata.mimetype();
        let text = media_type.starts_with("text/") && !media_type.contains("charset");
        Asset {
            media_type: if text { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() },
            etag: etag(&file.metadata.sha256_hash()),
            immutable: path.starts_with("assets/"),
            content: file.data,
        }
    }
}

/// Whether the dashboard was there when this program was built.
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

/// The file at `path`, which is relative and as in the address; `None` where the dashboard has no such file.
pub fn asset(path: &str) -> Option<Asset> {
    if path == "index.html" {
        return None;
    }
    Dist::get(path).map(|file| Asset::new(path, file))
}

/// What every address answers that is no file: the dashboard, or the page that says how to build it.
pub fn page() -> Asset {
    match Dist::get("index.html") {
        Some(file) => Asset::new("index.html", file),
        None => Asset {
            content: Cow::Borrowed(PLACEHOLDER),
            media_type: "text/html; charset=utf-8".to_owned(),
            etag: "\"placeholder\"".to_owned(),
            immutable: false,
        },
    }
}

/// Sixteen bytes of a SHA-256 tell the versions of one file apart.
fn etag(hash: &[u8; 32]) -> String {
    let mut text = String::from("\"");
    for byte in hash.iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_page() {
        let page = page();
        let text = String::from_utf8(page.content.into_owned()).expect("a page is text");
        assert_eq!(page.media_type, "text/html; charset=utf-8");
        assert_eq!(
            text.contains("make dashboard"),
            !is_built(),
            "the placeholder, and only it, says how to build"
        );
    }

    #[test]
    fn no_page_needs_an_inline_script() {
        for text in [PLACEHOLDER.to_vec(), page().content.into_owned()] {
            let text = String::from_utf8(text).expect("a page is text");
            for script in text.split("<script").skip(1) {
                assert!(
                    script.split('>').next().is_some_and(|tag| tag.contains("src=\"/")),
                    "<script{script}"
                );
            }
            assert!(!text.contains(" onload=") && !text.contains("javascript:"), "{text}");
        }
    }

    #[test]
    fn paths_outside_the_dashboard_are_no_files() {
        for path in
            ["", "/", "..", "../package.json", "/etc/passwd", "assets/../../package.json", "index.html"]
        {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn what_the_page_loads_is_there_and_may_be_kept() {
        let page = String::from_utf8(page().content.into_owned()).expect("a page is text");
        let loaded: Vec<_> = page
            .split(['"', '\''])
            .filter_map(|word| word.strip_prefix('/'))
            .filter(|path| path.starts_with("assets/"))
            .collect();
        assert_eq!(loaded.is_empty(), !is_built(), "{page}");
        for path in loaded {
            let asset = asset(path).unwrap_or_else(|| panic!("{path} is missing"));
            assert!(asset.immutable && !asset.content.is_empty(), "{path}");
            assert!(asset.etag.len() == 34, "{}", asset.etag);
            assert!(asset.media_type.contains("javascript") || asset.media_type.contains("css"), "{asset:?}");
        }
    }
}
