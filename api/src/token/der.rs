//! Private keys in DER, which is how the cryptographic library takes them.
//!
//! A JWK has a key's numbers; PKCS #1 and #8 are the same numbers in brackets.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const PUBLIC_KEY: u8 = 0xa1;

/// id-ecPublicKey, prime256v1.
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
];
/// id-Ed25519.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// RSAPrivateKey of RFC 8017: n, e, d, p, q, dp, dq, qi.
pub fn rsa(numbers: [&[u8]; 8]) -> Vec<u8> {
    let mut content = integer(&[0]);
    for number in numbers {
        content.extend(integer(number));
    }
    value(SEQUENCE, &content)
}

/// A private key on P-256, with its public point.
pub fn p256(private: &[u8; 32], x: &[u8], y: &[u8]) -> Vec<u8> {
    let point = [&[0, 4], x, y].concat();
    let key = [
        integer(&[1]),
        value(OCTET_STRING, private),
        value(PUBLIC_KEY, &value(BIT_STRING, &point)),
    ];
    pkcs8(P256, &value(SEQUENCE, &key.concat()))
}

pub fn ed25519(private: &[u8]) -> Vec<u8> {
    pkcs8(ED25519, &value(OCTET_STRING, private))
}

fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let parts = [
        integer(&[0]),
        value(SEQUENCE, algorithm),
        value(OCTET_STRING, key),
    ];
    value(SEQUENCE, &parts.concat())
}

/// A positive number: no needless zero in front, and a needed one.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut number = bytes[zeros..].to_vec();
    if number.first().is_none_or(|first| *first >= 0x80) {
        number.insert(0, 0);
    }
    value(INTEGER, &number)
}

fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut value = vec![tag];
    if length < 0x80 {
        value.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        value.push(0x80 | (bytes.len() - zeros) as u8);
        value.extend(&bytes[zeros..]);
    }
    value.extend(content);
    value
}
