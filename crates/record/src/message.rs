//! What an error says, without where in the program it was made.

/// The message of an error without the frames of a backtrace, which some libraries write into it where RUST_BACKTRACE
/// is set.
///
/// ```
/// let message = "found 2 densities, expected 3\n   0: tensor::Error::bt\n             at /src/error.rs:260:25\n";
/// assert_eq!(l0_record::without_backtrace(message), "found 2 densities, expected 3");
/// ```
pub fn without_backtrace(message: &str) -> String {
    let lines: Vec<&str> = message.lines().filter(|line| !is_frame(line)).collect();
    lines.join("\n").trim_end().to_string()
}

/// `   0: name`, or the line below it, `             at file:line:column`.
fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    let is_numbered = || text.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    let is_place =
        || text.starts_with("at ") && text.rsplit(':').next().is_some_and(|part| part.parse::<u32>().is_ok());
    text.len() < line.len() && (is_numbered() || is_place())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_stays() {
        let two = "the run in x: at step 3: loss is NaN\nat line 4: expected 1\n  2 of 3 files\n";
        assert_eq!(without_backtrace(two), two.trim_end());
        let full =
            "no\n   0:     0x55d0 - name\n   1:     0x55d1 - <core as x>::y\n                  at /z.rs:1\n: beneath";
        assert_eq!(without_backtrace(full), "no\n: beneath");
    }

    #[test]
    fn frames_of_this_compiler_are_known() {
        let trace = std::backtrace::Backtrace::force_capture();
        assert_eq!(without_backtrace(&format!("found 2\n{trace}")), "found 2");
    }
}
