//! The OpenAPI document.

/// The document's text.
pub fn document() -> String {
    String::new()
}
