//! Precedence, unknown keys, masking, and the table of keys as a whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use copilot_lake_pipeline::ServiceJob;
use copilot_lake_tables::Service;

use super::effective::{Config, Sources, default};
use super::key::{
    self, CLIENT_SECRET, ConfigKey, DATAVERSE_TABLES, KEYS, LAKE_URL, METHOD, OVERLAP, PAGE_SIZE, Required, TENANT_ID,
    variable_name,
};
use super::setting::SettingOrigin;
use super::settings;
use super::value::ConfigValue;
use crate::environment::Variable;
use crate::exit;
use crate::problem::Problem;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lake.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn variable(name: &str, value: &str) -> Variable {
    Variable { name: name.to_owned(), value: value.to_owned() }
}

/// The configuration of a file's text alone.
fn load(text: &str) -> Result<Config> {
    let (_dir, path) = file(text);
    Config::load(Sources { file: Some(path), ..Sources::default() })
}

/// The message and hint of a file's text, with the file's own name instead of its path.
fn complaint(text: &str) -> (String, String) {
    let (_dir, path) = file(text);
    let error = Config::load(Sources { file: Some(path.clone()), ..Sources::default() }).err().unwrap();
    let problem = exit::problem(&error);
    assert_eq!(problem.code, crate::problem::ExitCode::Usage);
    (problem.message.replace(path.to_str().unwrap(), "lake.toml"), problem.hint.unwrap())
}

fn shown(config: &Config, key: &ConfigKey) -> String {
    let setting = config.setting(key).unwrap();
    format!("{} ({})", setting.value, setting.origin)
}

#[test]
fn a_file_that_an_editor_of_windows_saved_is_read_or_said_to_be_utf_16() {
    let config = load("\u{feff}[dataverse]\r\npage_size = 10\r\n").unwrap();
    assert!(shown(&config, &PAGE_SIZE).starts_with("10 ("));
    let (_dir, path) = file("");
    let utf_16: Vec<u8> = "\u{feff}[lake]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, utf_16).unwrap();
    let error = Config::load(Sources { file: Some(path.clone()), ..Sources::default() }).err().unwrap();
    let Problem { message, hint, .. } = exit::problem(&error);
    assert_eq!(message, format!("the configuration file `{}` is UTF-16", path.display()));
    assert!(hint.unwrap().starts_with("save it as UTF-8: in Notepad"));
}

#[test]
fn flag_beats_set_beats_environment_beats_file_beats_default() {
    let (_dir, path) = file("[dataverse]\npage_size = 10\n");
    let sources = |level: usize| Sources {
        file: (level >= 1).then(|| path.clone()),
        variables: (level >= 2).then(|| variable("COPILOT_LAKE_DATAVERSE__PAGE_SIZE", "20")).into_iter().collect(),
        set: (level >= 3).then(|| "dataverse.page_size=30".to_owned()).into_iter().collect(),
        flags: (level >= 4).then(|| ("dataverse.page_size", "--page-size", "40".to_owned())).into_iter().collect(),
    };
    let wanted = [
        "5000 (default)",
        "10 (FILE line 2)",
        "20 (COPILOT_LAKE_DATAVERSE__PAGE_SIZE)",
        "30 (--set)",
        "40 (--page-size)",
    ];
    for (level, wanted) in wanted.iter().enumerate() {
        let config = Config::load(sources(level)).unwrap();
        assert_eq!(shown(&config, &PAGE_SIZE).replace(path.to_str().unwrap(), "FILE"), *wanted);
    }
}

#[test]
fn a_service_overrides_the_shared_sign_in() {
    let config = load("auth.tenant_id = 'a'\n[dataverse.auth]\ntenant_id = 'b'\n").unwrap();
    let value = |section| config.setting_in(section, &TENANT_ID).unwrap().value.to_string();
    assert_eq!((value("auth"), value("dataverse.auth"), value("graph.auth")), ("a".into(), "b".into(), "a".into()));
    assert_eq!(config.setting_in("dataverse.auth", &METHOD).unwrap().value.to_string(), "client-secret");
}

#[test]
fn unknown_keys_name_the_nearest_and_the_place() {
    let (message, hint) = complaint("[lake]\n\nulr = 'x'\n");
    assert_eq!(message, "unknown key `lake.ulr`, lake.toml line 3");
    assert!(hint.contains("`lake.url`"), "{hint}");
    let (message, hint) = complaint("[datavers]\nurl = 'x'\n");
    assert_eq!(message, "unknown key `datavers`, lake.toml line 1");
    assert!(hint.contains("`dataverse."), "{hint}");
    let (message, _) = complaint("lake = 'x'\n");
    assert_eq!(message, "`lake` is a section, not a key, lake.toml line 1");

    let sources =
        Sources { variables: vec![variable("COPILOT_LAKE_AUTH_CLIENT_SECRET", "s3cret")], ..Sources::default() };
    let problem = exit::problem(&Config::load(sources).err().unwrap());
    assert_eq!(problem.message, "unknown key in the environment variable `COPILOT_LAKE_AUTH_CLIENT_SECRET`");
    assert!(problem.hint.unwrap().contains("`COPILOT_LAKE_AUTH__CLIENT_SECRET`"));

    let sources = Sources { variables: vec![variable("COPILOT_LAKE_FOO__BAR", "x")], ..Sources::default() };
    assert!(Config::load(sources).is_err());
    // What does not look like a key belongs to somebody else.
    let sources = Sources { variables: vec![variable("COPILOT_LAKE_HOME", "x")], ..Sources::default() };
    assert!(Config::load(sources).is_ok());

    let sources = Sources { set: vec!["lake.bogus=s3cret".to_owned()], ..Sources::default() };
    let message = exit::problem(&Config::load(sources).err().unwrap()).message;
    assert_eq!(message, "unknown key `lake.bogus`, --set");
}

#[test]
fn wrong_values_say_what_is_right() {
    let (message, _) = complaint("[dataverse]\npage_size = 9000\n");
    assert_eq!(message, "`dataverse.page_size` must be a whole number from 1 to 5000, but is `9000`, lake.toml line 2");
    let (message, _) = complaint("[dataverse]\npage_size = '9'\n");
    assert_eq!(message, "`dataverse.page_size` must be a whole number from 1 to 5000, but is `9`, lake.toml line 2");
    let (message, _) = complaint("dataverse.overlap = '1 hour'\n");
    assert!(message.contains("a duration such as"), "{message}");
    let (message, _) = complaint("dataverse.payloads = 'yes'\n");
    assert!(message.contains("must be `true` or `false`, but is `yes`"), "{message}");
    let (message, _) = complaint("dataverse.url = 'contoso'\n");
    assert!(message.contains("must be a URL such as"), "{message}");
    let (message, _) = complaint("lake.url = \"oops\n");
    assert!(message.starts_with("the configuration file is not valid TOML: "), "{message}");
    assert!(message.ends_with("lake.toml line 1") && !message.contains("oops"), "{message}");
}

/// Values and names that are nested as deep as a file can be.
#[test]
fn depth_needs_no_stack() {
    const DEPTH: usize = 300_000;
    for text in [
        format!("[lake]\nurl = {}", "[".repeat(DEPTH)),
        format!("[graph]\napp_classes = {}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("[lake]\noptions = {}1{}", "{a=".repeat(DEPTH), "}".repeat(DEPTH)),
        format!("[lake{}]", ".a".repeat(DEPTH)),
        format!("[lake]\noptions{} = 1", ".a".repeat(DEPTH)),
    ] {
        assert!(load(&text).is_err(), "{text:.40}");
    }
    let nested = format!("graph.app_classes={}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let sources = Sources { set: vec![nested], ..Sources::default() };
    assert!(Config::load(sources).is_err());
}

#[test]
fn secrets_are_never_shown() {
    let config = load("auth.client_secret = 's3cret'\nlake.options.key = 's3cret'\n").unwrap();
    assert!(matches!(config.setting(&CLIENT_SECRET).unwrap().value, ConfigValue::Secret(text) if text == "s3cret"));
    let lines = config.effective().join("\n");
    assert!(lines.contains("auth.client_secret = *** (") && lines.contains("lake.options.key = *** ("), "{lines}");
    assert!(!lines.contains("s3cret"), "{lines}");
    for text in ["auth.client_secret = ['s3cret']", "auth.authority = 'https//u:s3cret@x'", "[auth]\n s3cret \n"] {
        let (message, hint) = complaint(text);
        assert!(!message.contains("s3cret") && !hint.contains("s3cret"), "{message} {hint}");
    }
    // Given to the wrong key, whether that takes it or not.
    const WRONG: &str = "aB3~xyZ9.Qq8_s3cret";
    for key in KEYS.iter().filter(|key| key.name != LAKE_URL.name) {
        for name in key.names() {
            let sources = Sources { set: vec![format!("{name}={WRONG}")], ..Sources::default() };
            let shown = match Config::load(sources) {
                Ok(config) => config.effective().join("\n"),
                Err(error) => {
                    let problem = exit::problem(&error);
                    format!("{} {}", problem.message, problem.hint.unwrap())
                }
            };
            assert!(!shown.contains("s3cret"), "{name}: {shown}");
        }
    }
    let sources = Sources { set: vec![format!("{WRONG}==")], ..Sources::default() };
    let problem = exit::problem(&Config::load(sources).err().unwrap());
    assert_eq!(problem.message, "unknown key, --set");
    for (url, wanted) in [
        ("s3://KEY:s3cret@bucket/lake", "lake.url = s3://***@bucket/lake ("),
        ("az://box/lake?sv=1&sig=s3cret", "lake.url = az://box/lake?*** ("),
    ] {
        let lines = load(&format!("lake.url = '{url}'")).unwrap().effective();
        assert!(lines.iter().any(|line| line.starts_with(wanted)), "{lines:?}");
    }
    let proxy = load("network.proxy = 'http://user:s3cret@proxy:8080'").unwrap();
    assert!(proxy.effective().iter().any(|line| line.starts_with("network.proxy = http://***@proxy:8080/")));
}

#[test]
fn values_of_every_kind() {
    let config =
        load("[dataverse]\nsince = 2025-06-22\ntables = ['a', 'b']\noverlap = '90m'\n[lake]\nurl = './x'\n").unwrap();
    let lake = config.setting(&LAKE_URL).unwrap();
    let SettingOrigin::File { path, line: 6 } = &lake.origin else { panic!("{}", lake.origin) };
    assert_eq!(Path::new(&lake.value.to_string()), path.parent().unwrap().join("x"));
    assert_eq!(config.setting(&OVERLAP).unwrap().value, ConfigValue::Duration(std::time::Duration::from_secs(5400)));
    assert_eq!(config.setting(&key::DATAVERSE_SINCE).unwrap().value.to_string(), "2025-06-22T00:00:00Z");
    let list = ConfigValue::List(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(config.setting(&DATAVERSE_TABLES).unwrap().value, list);
    for text in ["dataverse.tables=a, b", "dataverse.tables=[\"a\", 'b']"] {
        let config = Config::load(Sources { set: vec![text.to_owned()], ..Sources::default() }).unwrap();
        assert_eq!(config.setting(&DATAVERSE_TABLES).unwrap().value, list);
    }
}

/// What reading both services by a secret needs.
const NEEDED: [&str; 6] = [
    "auth.tenant_id=t",
    "auth.client_id=c",
    "auth.client_secret=s3cret",
    "dataverse.url=https://x.example",
    "graph.users=all",
    "graph.since=2025-01-01",
];

/// What keeps these settings from being used to read both services.
fn missing(set: &[&str]) -> Option<String> {
    let set = set.iter().map(|text| (*text).to_owned()).collect();
    let config = Config::load(Sources { set, ..Sources::default() }).unwrap();
    let failed = |service| settings::job(service, &config, &[]).err();
    Service::ALL.into_iter().find_map(failed).map(|error| exit::problem(&error).message)
}

#[test]
fn what_the_help_marks_as_required_is_required_and_nothing_else_is() {
    assert_eq!(missing(&NEEDED), None);
    let set_without = |name: &str| NEEDED.into_iter().filter(|set| !set.starts_with(&format!("{name}="))).collect();
    for key in KEYS {
        let name = key.names().next().unwrap();
        let mut set: Vec<&str> = set_without(&name);
        // The section is there without the key.
        set.extend(["dataverse.page_size=10", "graph.requests_per_second=1"]);
        let certificate = matches!(key.required, Some(Required::WithMethod("client-certificate", _)));
        set.extend(certificate.then_some("auth.method=client-certificate"));
        let is_missing = missing(&set).is_some_and(|message| message.starts_with(&format!("`{name}` is not set")));
        assert_eq!(is_missing, key.required.is_some(), "{name}: {:?}", missing(&set));
        let documentation = key::documentation();
        let line = documentation.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).unwrap();
        assert_eq!(line.contains("required"), key.required.is_some(), "{line}");
    }
    // Other ways to sign in need no such key.
    for method in ["managed-identity", "azure-cli"] {
        let method = format!("auth.method={method}");
        let set: Vec<&str> = NEEDED[3..].iter().copied().chain([method.as_str()]).collect();
        assert_eq!(missing(&set), None, "{method}");
    }
}

#[test]
fn a_short_secret_is_not_repeated_whatever_key_it_was_given_to() {
    for secret in ["zQ7~x", "s3", "hunter2"] {
        for key in KEYS.iter().filter(|key| key.name != LAKE_URL.name) {
            for name in key.names() {
                let set = format!("{name}={secret}");
                if let Err(error) = Config::load(Sources { set: vec![set.clone()], ..Sources::default() }) {
                    let problem = exit::problem(&error);
                    let told = format!("{} {}", problem.message, problem.hint.unwrap_or_default());
                    assert!(!told.contains(secret), "{set}: {told}");
                }
            }
        }
        for name in ["auth.client_secrt", "auth.secret", "dataverse.key", "lake.options.key", secret] {
            for value in [format!("'{secret}'"), format!("['{secret}']"), format!("{{ a = '{secret}' }}")] {
                let name = if name == secret { format!("auth.'{secret}'") } else { name.to_owned() };
                let Err(error) = load(&format!("{name} = {value}")) else { continue };
                let told = format!("{error:?} {:?}", exit::problem(&error));
                assert!(!told.contains(secret), "{name} = {value}: {told}");
            }
        }
        let shown = load(&format!("auth.client_secret_file = '{secret}'")).unwrap().effective().join("\n");
        assert!(!shown.contains(secret) && shown.contains("auth.client_secret_file = *** (no such file)"), "{shown}");
    }
    // A word of `auth.method` is repeated where it is nearly right.
    let told = |method: &str| complaint(&format!("auth.method = '{method}'")).0;
    assert!(told("client-secrets").contains(", but is `client-secrets`") && !told("swordfish").contains("swordfish"));
}

#[test]
fn the_documentation_keeps_names_and_texts_apart() {
    let documentation = key::documentation();
    for line in documentation.lines() {
        let (name, text) = line.trim_start().split_once("  ").unwrap_or_else(|| panic!("{line}"));
        let known = KEYS.iter().find(|key| key.names().any(|known| known == name));
        assert!(known.is_some_and(|key| text.trim_start().starts_with(key.doc)), "{line}");
    }
    assert!(documentation.contains("auth.client_certificate_password_file  The file"), "{documentation}");
}

#[test]
fn every_key_is_documented_once_and_its_default_can_be_read() {
    let mut names = BTreeSet::new();
    for key in KEYS {
        assert!(key.doc.len() > 10 && !key.doc.ends_with('.'), "{}", key.name);
        assert!(key.default.is_none() || default(key).is_some(), "{}", key.name);
        for name in key.names() {
            assert!(names.insert(name.clone()), "{name} twice");
            assert!(variable_name(&name).starts_with("COPILOT_LAKE_"));
        }
    }
    // The contract's own file holds known keys only.
    for name in ["lake.removed_files", "auth.authority", "graph.requests_per_second", "graph.model", "network.proxy"] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn more_identities_are_lists_of_sections() {
    let config = load(
        "[auth]\ntenant_id = 't'\nclient_id = 'a'\nclient_secret = 's3cret'\n[dataverse]\nurl = 'https://x.example'\n\
         [[dataverse.identity]]\nclient_id = 'b'\nclient_secret = 's3cret-b'\n[[dataverse.identity]]\nclient_id = 'c'\n\
         client_secret = 's3cret-c'\ntenant_id = 'T'\n",
    )
    .unwrap();
    let Ok(Some(ServiceJob::Dataverse(job))) = settings::job(Service::Dataverse, &config, &[]) else {
        panic!("no job")
    };
    let shown: Vec<_> = job
        .connection
        .more_identities
        .iter()
        .map(|more| (more.name.as_str(), more.auth.tenant_id.as_str(), more.auth.client_id.as_str()))
        .collect();
    assert_eq!(shown, [("dataverse.identity.1", "t", "b"), ("dataverse.identity.2", "T", "c")]);
    let lines = config.effective().join("\n");
    assert!(lines.contains("dataverse.identity.2.client_id = c (") && !lines.contains("s3cret"), "{lines}");
    assert!(lines.contains("dataverse.identity.2.client_secret = *** ("), "{lines}");

    // What is not said: which identity signs in with what.
    let with = |more: &[&'static str]| missing(&NEEDED.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>());
    let own = ["dataverse.identity.1.client_id=d", "dataverse.identity.1.client_secret=s3cret"];
    assert_eq!(with(&own), None);
    assert_eq!(
        with(&["dataverse.identity.1.client_secret=s3cret"]).unwrap(),
        "`dataverse.identity.1.client_id` is not set: the application (client) id"
    );
    assert_eq!(with(&own[..1]).unwrap(), "`dataverse.identity.1.client_secret` is not set");
    let method = ["graph.identity.7.client_id=d", "graph.identity.7.method=client-certificate"];
    assert_eq!(with(&method).unwrap(), "`graph.identity.7.client_certificate_file` is not set");
    let same = ["graph.identity.1.client_id=C", "graph.identity.1.client_secret=s3cret"];
    assert_eq!(with(&same).unwrap(), "`graph.identity.1` is the same identity as `auth`");
    let other = [own[0], own[1], "dataverse.identity.1.tenant_id=u"];
    assert_eq!(with(&other).unwrap(), "`dataverse.identity.1.tenant_id` names another tenant than that of `auth`");
    let by_id = [own[0], own[1], "dataverse.identity.1.tenant_id=00000000-0000-4000-8000-00000000beef"];
    assert_eq!(with(&by_id), None, "it may be the id of that tenant");

    let (message, hint) = complaint("[dataverse.identity]\nclient_id = 'b'\n");
    assert_eq!(message, "`dataverse.identity` is a list of sections, lake.toml line 1");
    assert!(hint.contains("[[dataverse.identity]]"), "{hint}");
    let (message, hint) = complaint("[[graph.identity]]\nclient_id = 'b'\n[[graph.identity]]\nclientid = 'c'\n");
    assert_eq!(message, "unknown key `graph.identity..clientid`, lake.toml line 4".replace("..", ".2."));
    assert!(hint.contains("`graph.identity.1.client_id`"), "{hint}");
    for name in ["dataverse.identity.client_id", "dataverse.identity.0.client_id", "dataverse.identity.01.client_id"] {
        let sources = Sources { set: vec![format!("{name}=x")], ..Sources::default() };
        assert!(Config::load(sources).is_err(), "{name}");
    }
}
