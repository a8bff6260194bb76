//! Words that names must not contain: a name says what the thing is or does, in the field's standard terms.

use super::syntax::Kind;

/// Words whose meaning no reader could know: refused as any part of a name.
const PRIVATE: &[&str] = &[
    "anew", "ask", "asked", "asks", "careful", "doubtful", "eased", "gone", "halt", "heard", "losers", "luck", "marks",
    "patience", "relieve", "sought", "spine", "standing", "tame", "tries",
];

/// Ordinary words that were used with a private meaning: refused as the whole name of a type or a variant.
const VAGUE_TYPES: &[&str] = &[
    "again",
    "charge",
    "continued",
    "due",
    "find",
    "frame",
    "holder",
    "lasting",
    "last_slice",
    "left",
    "meetings",
    "part",
    "passing",
    "quick",
];

/// The same for functions, constants and modules.
const VAGUE_FUNCTIONS: &[&str] = &[
    "due",
    "holds_for_all",
    "is_passing",
    "leave",
    "left",
    "may_differ",
    "may_meet",
    "over",
    "passing",
    "quick",
    "rest",
    "say",
    "tell",
];

/// Fine for one function in a folder; with several, none can be found by its name.
pub(crate) const BARE: &[&str] = &["of", "run", "take"];

/// The word because of which a name is refused.
pub(crate) fn refused(name: &str, kind: Kind) -> Option<&'static str> {
    let name = snake_case(name);
    let private = PRIVATE.iter().find(|word| name.split('_').any(|part| part == **word));
    let vague = match kind {
        Kind::Type | Kind::Variant => VAGUE_TYPES,
        Kind::Function | Kind::Constant | Kind::Module => VAGUE_FUNCTIONS,
        // A field is read beside its type.
        Kind::Field => &[],
    };
    private.or_else(|| vague.iter().find(|word| name == **word)).copied()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut before_was_lower = false;
    for char in name.chars() {
        if char.is_ascii_uppercase() && before_was_lower {
            snake.push('_');
        }
        before_was_lower = char.is_ascii_lowercase() || char.is_ascii_digit();
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

#[test]
fn words_are_found_in_names() {
    assert_eq!(refused("UserLuck", Kind::Type), Some("luck"));
    assert_eq!(refused("is_tame", Kind::Function), Some("tame"));
    assert_eq!(refused("Part", Kind::Type), Some("part"));
    assert_eq!(refused("may_meet", Kind::Function), Some("may_meet"));
    assert_eq!(refused("find", Kind::Function), None);
    assert_eq!(refused("watermarks", Kind::Field), None);
    assert_eq!(refused("bytes_left", Kind::Function), None);
}
