//! Which known word a mistyped one may be meant for.

/// The word with the fewest letters changed, left out or added; the first among equals.
pub(crate) fn nearest<'w>(given: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words.min_by_key(|word| strsim::damerau_levenshtein(given, word))
}

/// True if one word may be meant for another: at most a third of its letters are wrong, or two.
pub(crate) fn resemble(given: &str, word: &str) -> bool {
    strsim::damerau_levenshtein(given, word) <= (given.chars().count() / 3).max(2)
}
