//! Numbers as people write them, and how wide a text will be.

/// A coordinate: two digits after the point at most.
pub(super) fn trimmed(x: f64) -> String {
    let rounded = (x * 100.0).round() / 100.0;
    // Zero has a sign of its own, which would only take room.
    format!("{}", rounded + 0.0)
}

/// A number in a few characters: `0.25`, `1.5k`, `2.29M`, `3e-5`.
pub fn short(x: f64) -> String {
    let size = x.abs();
    let (scaled, unit) = match size {
        size if size >= 1e15 => return format!("{x:.1e}"),
        size if size >= 1e12 => (x / 1e12, "T"),
        size if size >= 1e9 => (x / 1e9, "G"),
        size if size >= 1e6 => (x / 1e6, "M"),
        size if size >= 1e4 => (x / 1e3, "k"),
        size if size > 0.0 && size < 1e-3 => return exponent(x),
        _ => (x, ""),
    };
    format!("{}{unit}", digits(scaled, 3))
}

/// `x` with so many significant digits at most, none of them idle.
fn digits(x: f64, significant: i32) -> String {
    let before = if x == 0.0 { 1 } else { x.abs().log10().floor() as i32 + 1 };
    let after = (significant - before).clamp(0, 6) as usize;
    let text = format!("{x:.after$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

fn exponent(x: f64) -> String {
    let text = format!("{x:.1e}");
    text.replace(".0e", "e")
}

/// An estimate of the width of a text, a little on the generous side, for the sans-serif fonts
/// in use: the picture is laid out before anyone knows which of them will draw it.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The text, or as much of its beginning as fits.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.into();
    }
    let mut left = room - width("…", size);
    let fits = |c: &char| {
        left -= advance(*c) * size;
        left >= 0.0
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The text, or as much of its end as fits.
pub(super) fn fitted_end(text: &str, size: f64, room: f64) -> String {
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    reversed(&fitted(&reversed(text), size, room))
}

/// The text in lines that fit, broken at its spaces.
pub(super) fn wrapped(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, size) + width(word, size) + width(" ", size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines.iter().map(|line| fitted(line, size, room)).collect()
}

/// The same in so many lines at most, the last of them cut where they do not suffice.
pub(super) fn wrapped_to(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines = wrapped(text, size, room);
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1)).join(" ");
        lines.push(fitted(&rest, size, room));
    }
    lines
}

fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | '!' => 0.28,
        ' ' | 'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | '-' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.9,
        'A'..='Z' | '=' | '+' | '<' | '>' | '±' | '≥' | '≤' => 0.68,
        c if c.is_ascii() => 0.6,
        _ => 0.65,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: f64, text: &str) {
        assert_eq!(short(x), text);
    }

    #[test]
    fn numbers_are_short() {
        check(0.0, "0");
        check(0.25, "0.25");
        check(1.0, "1");
        check(100.0, "100");
        check(1234.0, "1234");
        check(12_000.0, "12k");
        check(2_293_000.0, "2.29M");
        check(-1.5e10, "-15G");
        check(3e-5, "3e-5");
        check(2.5e-4, "2.5e-4");
        check(f64::NAN, "NaN");
        check(f64::MAX, "1.8e308");
    }

    #[test]
    fn coordinates_have_no_idle_digits() {
        assert_eq!([trimmed(1.0), trimmed(-0.001), trimmed(1.239)], ["1", "0", "1.24"]);
    }

    #[test]
    fn text_is_cut_to_its_room() {
        assert_eq!(fitted("short", 10.0, 100.0), "short");
        let cut = fitted(&"long ".repeat(20), 10.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 100.0, "{cut}");
        assert_eq!(fitted_end("layers.4.conv.1.weight", 10.0, 50.0), "…1.weight");
    }

    #[test]
    fn no_word_is_lost_between_lines() {
        let text = "a text of some words that takes a few lines";
        let lines = wrapped(text, 10.0, 90.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| width(line, 10.0) <= 90.0), "{lines:?}");
        assert_eq!(lines.join(" "), text);
    }

    #[test]
    fn what_takes_too_many_lines_is_cut_in_the_last() {
        let text = "a text of some words that takes a few lines";
        assert_eq!(wrapped_to(text, 10.0, 90.0, 9), wrapped(text, 10.0, 90.0));
        let lines = wrapped_to(text, 10.0, 90.0, 2);
        assert!(lines.len() == 2 && lines[1].ends_with('…') && width(&lines[1], 10.0) <= 90.0, "{lines:?}");
    }

    #[test]
    fn longer_text_is_wider() {
        assert!(width("mm", 11.0) > width("m", 11.0) && width("m", 11.0) > width("i", 11.0));
    }
}
