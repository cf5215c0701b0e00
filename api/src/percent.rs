//! Percent-encoding, as paths and queries have it (RFC 3986).

/// What keeps a text from being decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A `%` without two hexadecimal digits, or bytes that aren't UTF-8.
    Escape,
    Nul,
}

pub fn decode(text: &str) -> Result<String, Broken> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = bytes.next().zip(bytes.next());
                let digits = digits.and_then(|(high, low)| digit(high).zip(digit(low)));
                let (high, low) = digits.ok_or(Broken::Escape)?;
                high << 4 | low
            }
            byte => byte,
        });
    }
    if decoded.contains(&0) {
        return Err(Broken::Nul);
    }
    String::from_utf8(decoded).map_err(|_| Broken::Escape)
}

fn digit(digit: u8) -> Option<u8> {
    let digit = char::from(digit).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// A value for one place in a path or query: everything but unreserved characters is escaped.
pub fn encode(value: &str) -> String {
    escape(value, b"-._~")
}

/// The same, and what has a meaning in a query stays, escapes too.
pub fn encode_query(query: &str) -> String {
    escape(query, b"-._~!$&'()*+,;=:@/?%")
}

fn escape(text: &str, kept: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        for text in ["a,b", "é", "%", "a b", "/", "+", "\u{1f600}", ""] {
            assert_eq!(decode(&encode(text)).unwrap(), text);
        }
        assert_eq!(encode("a-b_c.d~e,/é"), "a-b_c.d~e%2C%2F%C3%A9");
        assert_eq!(decode("a%2fb+c").unwrap(), "a/b+c");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for text in ["%", "%4", "%zz", "%ff", "a%C3", "%+1"] {
            assert_eq!(decode(text), Err(Broken::Escape), "{text}");
        }
        assert_eq!(decode("a%00"), Err(Broken::Nul));
    }

    #[test]
    fn a_query_stays_what_it_was() {
        assert_eq!(
            encode_query("a[lt]=1&b=%20+\"<>é"),
            "a%5Blt%5D=1&b=%20+%22%3C%3E%C3%A9"
        );
    }
}
