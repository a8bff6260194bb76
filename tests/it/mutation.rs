//! Random histories: rows are made, changed and deleted between runs, some of which read only a part; after each
//! complete run the lake equals the service.

use std::fmt::Write as _;

use copilot_lake_tables::dataverse_tables;

use crate::foreign::{delete_and_read_again, disturb};
use crate::harness::{Numbers, World, is_soak};

/// A scenario with this many phases, each of which makes, changes and deletes rows of every table.
pub(crate) fn history(seed: u64, phases: usize, deletes: bool) -> String {
    let mut numbers = Numbers(seed);
    let mut text = format!("seed = {seed}\nclock = 2025-11-05T12:00:00Z\n");
    for (at, table) in dataverse_tables().enumerate() {
        let rows = 60 + numbers.next(60);
        writeln!(
            text,
            "[[table]]\nname = \"{}\"\nrows = {rows}\nweeks = {}\ntracked = {deletes}",
            table.name,
            3 + at % 2
        )
        .unwrap();
    }
    // The first pass takes three runs: a week of two tables fails once, that of another one twice.
    for (table, times) in
        [("msdyn_copilotevent", 1), ("msdyn_copilotinteractiondata", 2), ("msdyn_copilottranscript", 1)]
    {
        writeln!(
            text,
            "[[fault]]\nat = \"page\"\ntable = \"{table}\"\nmatching = \"createdon lt 2025-10-26\"\nnumber = 1\n\
             times = {times}\nkind = \"403_member\""
        )
        .unwrap();
    }
    for phase in 0..phases {
        let mut phase_text =
            format!("[[phase]]\nclock = 2025-11-{:02}T{:02}:00:00Z\n", 6 + phase, 1 + numbers.next(20));
        let (mut made, mut changed, mut gone) = (vec![], vec![], vec![]);
        for table in dataverse_tables().map(|table| table.name) {
            for _ in 0..numbers.next(4) {
                made.push(format!(
                    "{{ table = \"{table}\", values = {{ importsequencenumber = {} }} }}",
                    numbers.next(9)
                ));
            }
            for _ in 0..numbers.next(4) {
                let position = numbers.next(50);
                changed.push(format!(
                    "{{ table = \"{table}\", position = {position}, values = {{ importsequencenumber = {} }} }}",
                    100 + numbers.next(900)
                ));
            }
            if deletes && numbers.next(3) > 0 {
                // Behind all that may be changed in the same phase.
                gone.push(format!("{{ table = \"{table}\", position = {} }}", 50 + numbers.next(5)));
            }
        }
        for (name, list) in [("row", made), ("change", changed), ("delete", gone)] {
            writeln!(phase_text, "{name} = [{}]", list.join(", ")).unwrap();
        }
        text.push_str(&phase_text);
    }
    text
}

fn run(seed: u64, how: &str) {
    let phases = 6;
    let mut world = World::parse(&history(seed, phases, how != "ignore"));
    // Of the short form, one history has views.
    let has_views = how == "mark" || is_soak();
    world.keys.insert("lake.views".to_owned(), has_views.into());
    world.keys.insert("dataverse.page_size".to_owned(), 40.into());
    world.keys.insert("dataverse.deletes".to_owned(), how.into());
    let mut numbers = Numbers(seed);
    let mut complete = 0;
    for phase in 0..=phases {
        if phase > 0 {
            world.emulator.advance().unwrap();
        }
        // Python takes its time to start.
        let tables = if is_soak() { 4 } else { usize::from(phase % 3 == 2) };
        disturb(&world, &mut numbers, tables);
        let code = if phase < 2 { 3 } else { 0 };
        world.extract(&[], code);
        world.check_lake();
        if code == 0 {
            world.check_rows(dataverse_tables());
            complete += 1;
        }
    }
    assert_eq!(complete, phases - 1);
    if has_views {
        world.check_views();
    }
    let served = world.emulator.served();
    assert_eq!((served.columns_unlisted, served.retry_after_violations), (0, 0));
    if how != "mark" {
        delete_and_read_again(&world);
        if has_views {
            world.check_views();
        }
    }
}

#[test]
fn a_lake_that_removes_equals_the_service() {
    let seeds = if is_soak() { 12 } else { 2 };
    for seed in 1..=seeds {
        run(seed, "remove");
    }
}

#[test]
fn a_lake_that_marks_hides_what_is_gone() {
    run(77, "mark");
}

#[test]
fn without_deletions_nothing_has_to_be_tracked() {
    run(5, "ignore");
}
