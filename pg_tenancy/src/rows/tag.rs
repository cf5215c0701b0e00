//! Entity tags: which version of a row somebody has seen.
//!
//! A tag is the first half of a SHA-256 over the row's JSON, in base64url. The
//! service makes the same of the bytes that it has answered with.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pgrx::pg_sys;

use crate::fault::Fault;

const LENGTH: usize = 22;

/// The tags that a change is for, in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub struct Tags {
    /// One behind the other, each followed by a line's end.
    bytes: *const u8,
    length: usize,
}

impl Tags {
    pub fn new(tags: &[&str]) -> Self {
        let text: String = tags.iter().flat_map(|&tag| [tag, "\n"]).collect();
        // SAFETY: palloc answers with that much memory.
        let bytes = unsafe {
            let bytes: *mut u8 = pg_sys::palloc(text.len()).cast();
            std::ptr::copy_nonoverlapping(text.as_ptr(), bytes, text.len());
            bytes
        };
        Self {
            bytes,
            length: text.len(),
        }
    }

    /// Raises TN414 unless one of them is that of a row with this JSON, or is `*`.
    pub fn require(self, row: &[u8]) {
        let mut tag = [0; LENGTH];
        let hash = digest(&SHA256, row);
        // It fits by its length.
        let _ = URL_SAFE_NO_PAD.encode_slice(&hash.as_ref()[..16], &mut tag);
        // SAFETY: as it was made.
        let tags = unsafe { std::slice::from_raw_parts(self.bytes, self.length) };
        let mut tags = tags.split(|byte| *byte == b'\n');
        if !tags.any(|known| known == tag || known == b"*") {
            other_by_now();
        }
    }
}

fn other_by_now() -> ! {
    Fault::new("TN414", "the row is another than you have seen")
        .hint("Read it again, and then decide.")
        .raise()
}
