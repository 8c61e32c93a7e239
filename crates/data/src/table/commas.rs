//! Numbers as they are written where a comma is decimal: "1,5", and "1.234,5" with a dot between thousands.

/// "1,5" or "1.234,5", and not "1,5,6" or "a,b".
pub(super) fn is_number_with_comma(cell: &str) -> bool {
    let has_own_dot = cell.contains('.') && !is_grouped(cell);
    cell.matches(',').count() == 1 && !has_own_dot && with_point(cell).parse::<f64>().is_ok()
}

/// The cell with a point where its decimal comma was, and nothing between thousands: "1234.5" of "1.234,5".
pub(super) fn with_point(cell: &str) -> String {
    let cell = if is_grouped(cell) { cell.replace('.', "") } else { cell.to_string() };
    cell.replace(',', ".")
}

/// With a comma as mark, "12,500" is a number of thousands, or lies between 12 and 13; "0,500" and "1250,125" are no
/// thousands.
pub(super) fn may_part_thousands(cell: &str, mark: char) -> bool {
    let mut groups = cell.trim_start_matches(['+', '-']).split(mark);
    let first = groups.next().unwrap_or_default();
    let is_first = (1..=3).contains(&first.len()) && are_digits(first) && !first.starts_with('0');
    let mut rest = groups.peekable();
    is_first && rest.peek().is_some() && rest.all(|group| group.len() == 3 && are_digits(group))
}

/// "1.234,5": the comma is decimal, so the dots part thousands.
fn is_grouped(cell: &str) -> bool {
    let is_number = |(whole, behind): (&str, &str)| may_part_thousands(whole, '.') && are_digits(behind);
    cell.split_once(',').is_some_and(is_number)
}

/// Digits, one at least.
fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
