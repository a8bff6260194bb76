//! What the service has no value for: times of rows, which then match no range of a filter, and English labels.

use crate::harness::World;

const ID: &str = "00000000-0000-4000-8000-0000000000";

#[test]
fn rows_without_a_time_are_read_once_and_belong_to_the_first_week() {
    let world = World::parse(&format!(
        "seed = 11
        clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        [[table.row]]
        values = {{ msdyn_copiloteventid = \"{ID}01\", partitionid = \"20251026-20251101-100230205\", modifiedon = 2025-10-28T10:00:00Z }}
        nulls = [\"createdon\"]
        at = 2025-10-28T10:00:00Z
        [[table.row]]
        values = {{ msdyn_copiloteventid = \"{ID}02\", partitionid = \"p\", createdon = 2025-10-28T10:00:00Z }}
        [[table.row]]
        values = {{ msdyn_copiloteventid = \"{ID}03\", partitionid = \"p\" }}
        nulls = [\"createdon\", \"modifiedon\"]
        payload_text = \"hello\"
        [[table]]
        name = \"msdyn_copilotinteraction\"
        [[table.row]]
        values = {{ msdyn_copilotinteractionid = \"{ID}11\" }}
        omit = [\"createdon\"]
        [[phase]]
        clock = 2025-11-06T12:00:00Z
        [[phase.row]]
        values = {{ msdyn_copiloteventid = \"{ID}04\", partitionid = \"p\", createdon = 2025-11-06T10:00:00Z }}
        nulls = [\"modifiedon\"]
        [[phase.row]]
        values = {{ msdyn_copiloteventid = \"{ID}05\", partitionid = \"p\" }}
        nulls = [\"createdon\", \"modifiedon\"]"
    ));
    let rows = |table: &str, id: &str| {
        world.sql(&format!("SELECT right({id}, 2), week_start, createdon, modifiedon FROM {table} ORDER BY 1"))
    };
    let events = || rows("msdyn_copilotevent", "msdyn_copiloteventid");
    world.extract(&[], 0);
    let first = [
        ["01", "2025-10-26", "-", "2025-10-28T10:00:00Z"],
        ["02", "2025-10-26", "2025-10-28T10:00:00Z", "2025-10-28T10:00:00Z"],
        ["03", "1970-01-04", "-", "-"],
    ];
    assert_eq!(events(), first);
    assert_eq!(rows("msdyn_copilotinteraction", "msdyn_copilotinteractionid")[0][..3], ["11", "1970-01-04", "-"]);
    world.check_lake();
    world.check_complete();

    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    let later = [["04", "2025-11-02", "2025-11-06T10:00:00Z", "-"], ["05", "1970-01-04", "-", "-"]];
    assert_eq!(events(), [&first[..], &later[..]].concat());
    world.check_lake();
    world.check_complete();

    world.extract(&["--full"], 0);
    assert_eq!(events().len(), 5);
    world.check_lake();
    world.check_complete();
}

#[test]
fn a_code_without_an_english_label_gets_that_of_the_base_language() {
    let world = World::parse(&format!(
        "seed = 33
        clock = 2025-11-05T12:00:00Z
        [service]
        language = 1036
        base_language = 1031
        [[table]]
        name = \"msdyn_copilotevent\"
        [[table.column]]
        name = \"msdyn_scenariotype\"
        options = [
            {{ value = 100230997, labels = {{ 1031 = \"Ganz neu\", 1036 = \"Tout neuf\" }} }},
            {{ value = 100230998, labels = {{ 1031 = \"Neu\", 1033 = \"New\" }} }},
            {{ value = 100230999, labels = {{ 1036 = \"Tout neuf\" }} }},
        ]
        [[table.row]]
        values = {{ msdyn_copiloteventid = \"{ID}01\", partitionid = \"p\", msdyn_scenariotype = 100230997 }}
        [[table.row]]
        values = {{ msdyn_copiloteventid = \"{ID}02\", partitionid = \"p\", msdyn_scenariotype = 100230998 }}
        [[table.row]]
        values = {{ msdyn_copiloteventid = \"{ID}03\", partitionid = \"p\", msdyn_scenariotype = 100230999 }}"
    ));
    world.extract(&[], 0);
    let labels = world.sql("SELECT msdyn_scenariotype_label FROM msdyn_copilotevent ORDER BY msdyn_copiloteventid");
    assert_eq!(labels, [["Ganz neu"], ["New"], ["-"]]);
}
