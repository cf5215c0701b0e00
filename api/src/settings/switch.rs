//! Settings that are on or off.

/// `on` or `off`, or as other programs say it, `true` or `false`.
pub fn switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err("must be on or off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_or_off_and_nothing_else() {
        assert_eq!(["on", "true"].map(switch), [Ok(true); 2]);
        assert_eq!(["off", "false"].map(switch), [Ok(false); 2]);
        for text in ["", "yes", "1", "ON "] {
            assert!(switch(text).is_err(), "{text}");
        }
    }
}
