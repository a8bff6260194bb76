//! Every transient fault at every stage, alone and combined: the first run is complete all the same.

use copilot_lake_emulator::Scenario;

use crate::harness::{Numbers, World, package};

/// Where a fault happens.
const STAGES: &[&str] = &[
    "at = \"token\"\nnumber = 1",
    "at = \"whoami\"\nnumber = 1",
    "at = \"metadata\"\nnumber = 1",
    "at = \"page\"\nnumber = 1",
    "at = \"page\"\nnumber = 9",
    "at = \"file\"\nnumber = 5",
];

/// What goes wrong; all of these are transient.
const KINDS: &[&str] = &[
    "kind = \"429\"\nretry_after = 2",
    "kind = \"503\"",
    "kind = \"500\"",
    "kind = \"408\"",
    "kind = \"cut_body\"",
    "kind = \"cut_chunked\"",
    "kind = \"reset\"",
    "kind = \"not_json\"",
    "kind = \"expired_token\"",
];

fn world(faults: &[(&str, &str)]) -> World {
    let mut text = String::from(
        "seed = 3\nclock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 60
        weeks = 2
        [[table]]
        name = \"msdyn_copilotinteractiondata\"
        rows = 30
        weeks = 2
        [[table]]
        name = \"msdyn_copilottranscriptdata\"
        rows = 20
        weeks = 2
        ",
    );
    for (stage, kind) in faults {
        text.push_str(&format!("[[fault]]\n{stage}\n{kind}\n"));
    }
    let mut world = World::new(Scenario::parse_in(&text, &package().join("fixtures")).unwrap());
    world.keys.insert("dataverse.page_size".to_owned(), 10.into());
    world
}

fn survive(faults: &[(&str, &str)]) {
    let world = world(faults);
    world.extract(&["-q"], 0);
    world.check_lake();
    world.check_complete();
    let served = world.emulator.served();
    assert_eq!(served.retry_after_violations, 0, "{faults:?}: a Retry-After was not kept");
    assert_eq!(served.columns_unlisted, 0, "{faults:?}: a column was asked for that is not listed");
    assert_eq!(served.limits_passed, 0, "{faults:?}: a limit was passed");
    assert!(served.faults >= faults.len() as u64, "{faults:?}: {} happened", served.faults);
}

/// One test per stage, so that stages run in parallel.
macro_rules! stages {
    ($($name:ident $at:expr;)*) => {
        $(#[test] fn $name() {
            for kind in KINDS {
                // The token service has no tokens to expire.
                if !(kind.contains("expired_token") && STAGES[$at].contains("token\"")) {
                    survive(&[(STAGES[$at], kind)]);
                }
            }
        })*
    };
}

stages! {
    at_the_sign_in 0;
    at_the_first_call 1;
    at_the_metadata 2;
    at_the_first_page 3;
    at_a_later_page 4;
    at_a_payload 5;
}

#[test]
fn together() {
    let mut numbers = Numbers(9);
    for _ in 0..4 {
        let mut pick = || {
            let (stage, kind) = (numbers.next(STAGES.len() as u64), numbers.next(KINDS.len() as u64 - 1));
            (STAGES[stage as usize], KINDS[kind as usize])
        };
        survive(&[pick(), pick(), pick()]);
    }
}
