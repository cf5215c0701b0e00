//! Sizes as people write them: `1MiB`, `512KiB`, or a number of bytes.

/// Fails for nothing, for zero, and for a gibibyte and more.
pub fn size(text: &str) -> Result<usize, String> {
    let wrong = || "must be like 1MiB, 512KiB, or a number of bytes below a gibibyte".to_owned();
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(unit)
        .filter(|size| (1..1 << 30).contains(size))
        .ok_or_else(wrong)
}

/// A size as it was written.
pub fn written(size: usize) -> String {
    match size {
        mebibytes if mebibytes % (1024 * 1024) == 0 => format!("{} MiB", size / 1024 / 1024),
        kibibytes if kibibytes % 1024 == 0 => format!("{} KiB", size / 1024),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit_or_bytes() {
        for (text, bytes) in [
            ("1MiB", 1 << 20),
            ("512 KiB", 512 << 10),
            ("7", 7),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "0",
            "MiB",
            "1MB",
            "-1",
            "1.5MiB",
            "1024MiB",
            "99999999999999999999",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
        let sizes = [1 << 20, 3 << 10, 1000].map(written);
        assert_eq!(sizes, ["1 MiB", "3 KiB", "1000 bytes"]);
    }
}
