//! A JSON text that grows in PostgreSQL's memory, and is a function's answer as
//! it stands. It has no destructor, so an error may pass over it.

use std::fmt::{self, Write};

use pgrx::pg_sys;

/// The four bytes before a varlena's content, which hold its length.
const HEADER: usize = 4;

#[derive(Clone, Copy)]
pub struct Json {
    memory: *mut u8,
    length: usize,
    capacity: usize,
}

unsafe extern "C-unwind" {
    fn palloc(size: usize) -> *mut u8;
    fn repalloc(memory: *mut u8, size: usize) -> *mut u8;
}

impl Json {
    /// An empty text, in the current memory context.
    pub fn new() -> Self {
        const START: usize = 4096;
        Self {
            // SAFETY: palloc answers, or doesn't return.
            memory: unsafe { palloc(START) },
            length: HEADER,
            capacity: START,
        }
    }

    /// Makes room for as many bytes more.
    #[inline]
    pub fn reserve(&mut self, number: usize) {
        if self.length + number > self.capacity {
            self.grow(number);
        }
    }

    #[cold]
    fn grow(&mut self, number: usize) {
        self.capacity = (self.length + number).max(self.capacity * 2);
        // SAFETY: it was palloc'd; PostgreSQL refuses more than a gigabyte.
        self.memory = unsafe { repalloc(self.memory, self.capacity) };
    }

    // Mostly of a length that is known here, so that nothing is called.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: there is room, just made; nobody else has this memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.memory.add(self.length),
                bytes.len(),
            );
        }
        self.length += bytes.len();
    }

    /// What has been written.
    pub fn written(&self) -> &[u8] {
        // SAFETY: all of it up to the length was written.
        unsafe { std::slice::from_raw_parts(self.memory.add(HEADER), self.length - HEADER) }
    }

    /// The text as a datum of type json.
    pub fn datum(self) -> pg_sys::Datum {
        // SAFETY: the header is ours to write.
        unsafe { pgrx::set_varsize_4b(self.memory.cast(), self.length as i32) };
        pg_sys::Datum::from(self.memory)
    }

    pub fn number(&mut self, value: impl itoa::Integer) {
        self.push(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Of characters that need no escape.
    #[inline]
    pub fn quoted(&mut self, value: &[u8]) {
        self.push(b"\"");
        self.push(value);
        self.push(b"\"");
    }

    /// A JSON string; what needs no escape is copied in runs.
    pub fn string(&mut self, text: &[u8]) {
        self.push(b"\"");
        let mut rest = text;
        while let Some(at) = rest
            .iter()
            .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
        {
            self.push(&rest[..at]);
            match rest[at] {
                b'"' => self.push(b"\\\""),
                b'\\' => self.push(b"\\\\"),
                b'\n' => self.push(b"\\n"),
                b'\r' => self.push(b"\\r"),
                b'\t' => self.push(b"\\t"),
                other => {
                    let _ = write!(self, "\\u{other:04x}");
                }
            }
            rest = &rest[at + 1..];
        }
        self.push(rest);
        self.push(b"\"");
    }
}

impl Write for Json {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
