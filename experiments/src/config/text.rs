//! Places in a text, and words that are like others.

/// How many lines end before a place of a text.
pub(super) fn lines_before(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

/// The known word that is most like the one found.
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().min_by_key(|known| strsim::damerau_levenshtein(found, known)).copied()
}
