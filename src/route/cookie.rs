//! Cookies: reading those of a request, writing the gateway's own.

/// The value of a cookie in a `Cookie` header (RFC 6265 section 4.2.1), the first of its name.
pub(super) fn cookie<'c>(header: &'c str, name: &str) -> Option<&'c str> {
    header.split(';').find_map(|pair| pair.trim_start().strip_prefix(name)?.strip_prefix('=')).map(str::trim_end)
}

/// A `Set-Cookie` for the whole host. It is `Secure` but on plain HTTP of the machine itself; without a
/// time it ends with the browser, with none left it ends at once.
pub(super) fn set_cookie(name: &str, value: &str, seconds: Option<i64>, secure: bool) -> String {
    let mut text = format!("{name}={value}; Path=/");
    if let Some(seconds) = seconds {
        text.push_str("; Max-Age=");
        text.push_str(&seconds.max(0).to_string());
    }
    text.push_str(if secure { "; Secure; HttpOnly; SameSite=Lax" } else { "; HttpOnly; SameSite=Lax" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let header = "a=1; hg_unit=abc ;b=2; xhg_unit=no; hg_unit=second; empty=; odd";
        assert_eq!(cookie(header, "hg_unit"), Some("abc"));
        assert_eq!(cookie(header, "b"), Some("2"));
        assert_eq!(cookie(header, "empty"), Some(""));
        for none in ["unit", "odd", "hg_uni", "c"] {
            assert_eq!(cookie(header, none), None, "{none}");
        }
    }

    #[test]
    fn cookies_are_first_party_and_out_of_reach_of_scripts() {
        assert_eq!(set_cookie("u", "7", Some(60), true), "u=7; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(set_cookie("u", "7", None, false), "u=7; Path=/; HttpOnly; SameSite=Lax");
    }
}
