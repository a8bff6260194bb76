//! Texts of the operating system's errors.

/// The system's message without its number.
pub fn without_number(text: &str) -> String {
    let Some((before, after)) = text.split_once(" (os error ") else { return text.to_owned() };
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(')'))
}
