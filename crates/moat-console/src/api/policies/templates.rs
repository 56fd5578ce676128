//! The examples of the documentation, to start from.

use axum::Json;

use super::document;
use super::types::Template;
use crate::api::page::Page;
use crate::api::problem::Problem;

macro_rules! example {
    ($name:literal) => {
        include_str!(concat!("../../../../../examples/", $name, ".yaml"))
    };
}

const EXAMPLES: [&str; 8] = [
    example!("no-shells"),
    example!("no-passwd"),
    example!("read-only-etc"),
    example!("immutable-image"),
    example!("nginx-allow-list"),
    example!("no-egress"),
    example!("no-dangerous-syscalls"),
    example!("no-privileges"),
];

pub async fn list() -> Result<Json<Page<Template>>, Problem> {
    Ok(Json(Page::whole(EXAMPLES.iter().filter_map(|text| template(text)).collect())))
}

/// The first paragraph of an example's comment is `Title: what it is for`.
fn template(text: &str) -> Option<Template> {
    let parsed = document::parse(text).ok()?;
    let paragraph: Vec<_> = text
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let paragraph = paragraph.join(" ");
    let (title, description) = paragraph.split_once(": ").unwrap_or((&paragraph, &paragraph));
    Some(Template {
        name: parsed.name().to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        document: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_template_that_says_what_it_is_for() {
        for text in EXAMPLES {
            let template = template(text).unwrap_or_else(|| panic!("{text}"));
            assert!(!template.description.is_empty(), "{}", template.name);
        }
    }
}
