//! What only holders of an environment's context key can make: testers' overrides, pins, signed units.
//! Each is an HMAC-SHA256 (RFC 2104) over a text that begins with what it is for, so that none passes for
//! another.

use crate::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn mac(key: &[u8], purpose: &str, parts: &[&str]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(purpose.as_bytes());
    for part in parts {
        mac.update(b"\n");
        mac.update(part.as_bytes());
    }
    Some(mac)
}

fn sign(key: &[u8], purpose: &str, parts: &[&str]) -> String {
    mac(key, purpose, parts).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).unwrap_or_default()
}

fn is_signed(keys: &[Vec<u8>], purpose: &str, parts: &[&str], signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    keys.iter().any(|key| mac(key, purpose, parts).is_some_and(|mac| mac.verify_slice(&signature).is_ok()))
}

const OVERRIDE: &str = "headgate-override";
const PIN: &str = "headgate-pin";
const UNIT: &str = "headgate-unit";

/// A tester's ticket to a variant of a route: `<variant>.<seconds since 1970>.<signature>`.
pub fn override_ticket(key: &[u8], route: &str, variant: &str, until: Instant) -> String {
    let end = (until.millis() / 1_000).to_string();
    let signature = sign(key, OVERRIDE, &[route, variant, &end]);
    format!("{variant}.{end}.{signature}")
}

/// The variant of a ticket that is good, and for how many seconds it is.
pub fn read_override<'t>(keys: &[Vec<u8>], route: &str, ticket: &'t str, now: Instant) -> Option<(&'t str, i64)> {
    let mut parts = ticket.rsplitn(3, '.');
    let (signature, end, variant) = (parts.next()?, parts.next()?, parts.next()?);
    let left = end.parse::<i64>().ok()?.checked_sub(now.millis() / 1_000)?;
    (left > 0 && is_signed(keys, OVERRIDE, &[route, variant, end], signature)).then_some((variant, left))
}

/// What pins the parts of a page to the variant that it came from: `<variant>.<signature>`. It is signed
/// so that nobody has it but those whom the variant was served.
pub fn pin(key: &[u8], route: &str, variant: &str) -> String {
    let signature = sign(key, PIN, &[route, variant]);
    format!("{variant}.{}", signature.get(..22).unwrap_or_default())
}

/// The unit of `<unit>.<signature>`, when the signature is right.
pub fn read_unit<'t>(keys: &[Vec<u8>], text: &'t str) -> Option<&'t str> {
    let (unit, signature) = text.rsplit_once('.')?;
    is_signed(keys, UNIT, &[unit], signature).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_for_one_route_and_variant_and_end() {
        let (keys, now) = ([vec![1; 32], vec![2; 32]], Instant::from_millis(1_000_000));
        let ticket = override_ticket(&keys[1], "www", "v2.green", now.plus_millis(60_000));
        assert_eq!(read_override(&keys, "www", &ticket, now), Some(("v2.green", 60)));
        assert_eq!(read_override(&keys, "www", &ticket, now.plus_millis(60_000)), None);
        assert_eq!(read_override(&keys, "api", &ticket, now), None);
        assert_eq!(read_override(&keys[..1], "www", &ticket, now), None);
        assert_eq!(read_override(&keys, "www", &ticket.replace("green", "blue"), now), None);
        for bad in ["", "a", "a.b", "green.9999999999.", "green.9999999999.AAAA", "green.-1.x", ".."] {
            assert_eq!(read_override(&keys, "www", bad, now), None, "{bad}");
        }
    }

    #[test]
    fn units_are_signed_by_the_backend() {
        // printf 'headgate-unit\nu-1' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000000 -binary | basenc --base64url
        let keys = [vec![0; 3]];
        let signature = sign(&keys[0], UNIT, &["u-1"]);
        assert_eq!(signature, "C8wASWhNbhwxDb3RRFVula61OsSXV2VR1VrNSj1UEFk");
        assert_eq!(read_unit(&keys, &format!("u-1.{signature}")), Some("u-1"));
        assert_eq!(read_unit(&keys, &format!("u-2.{signature}")), None);
        // One purpose's signature is not another's.
        assert_ne!(pin(&keys[0], "u-1", ""), format!(".{}", &signature[..22]));
    }
}
