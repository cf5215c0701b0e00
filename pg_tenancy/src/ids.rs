//! `tenancy.uuid_v7()`: ids that sort by time, and `random_token()`: secrets that can't be guessed.

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::function::{Answer, text_datum, uuid_datum};

sql_function!(tenancy_uuid_v7, pg_finfo_tenancy_uuid_v7, uuid_v7);
sql_function!(
    tenancy_random_token,
    pg_finfo_tenancy_random_token,
    random_token
);

fn uuid_v7(_call: pg_sys::FunctionCallInfo) -> Answer {
    // The crate counts within a millisecond, so ids of one backend ascend.
    Ok(uuid_datum(uuid::Uuid::now_v7()))
}

fn random_token(_call: pg_sys::FunctionCallInfo) -> Answer {
    let mut bytes = [0_u8; 32];
    // SAFETY: PostgreSQL's own source of secrets fills that many bytes, or says no.
    let is_filled = unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) };
    if !is_filled {
        return Err(Fault::internal("the system has no randomness for a secret"));
    }
    Ok(text_datum(&base64url(&bytes)))
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0_u32, |bits, (i, byte)| {
            bits | (u32::from(*byte) << (16 - 8 * i))
        });
        // A group of n bytes has n + 1 digits.
        for digit in 0..=group.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod unit_tests {
    use super::base64url;

    #[test]
    fn bytes_are_written_as_base64url() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xFB, 0xFF, 0xFE], "-__-"),
        ] {
            assert_eq!(base64url(bytes), expected);
        }
    }
}
