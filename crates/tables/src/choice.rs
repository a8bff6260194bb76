//! Choice sets: the integer codes of Dataverse choice columns and their English labels.

use std::collections::BTreeMap;

/// The options of a choice column. Unknown codes are data, not errors: lists grow between releases.
#[derive(Debug)]
pub struct ChoiceSet {
    /// The service's name of the set.
    pub name: &'static str,
    /// Code and English label, ascending by code.
    pub options: &'static [(i32, &'static str)],
}

/// Labels that a service's metadata gives: for codes that the catalogue does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    labels: BTreeMap<(String, i32), String>,
}

impl Labels {
    /// Adds the label of a code of the column of that name in the lake.
    pub fn insert(&mut self, column: &str, code: i32, label: &str) {
        self.labels.insert((column.to_owned(), code), label.to_owned());
    }

    /// The label of a code.
    pub fn label(&self, column: &str, code: i32) -> Option<&str> {
        self.labels.get(&(column.to_owned(), code)).map(String::as_str)
    }

    /// Column, code and label of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, &str)> {
        self.labels.iter().map(|((column, code), label)| (column.as_str(), *code, label.as_str()))
    }
}

impl ChoiceSet {
    /// The label of a code.
    pub fn label(&self, code: i32) -> Option<&'static str> {
        self.options.binary_search_by_key(&code, |option| option.0).ok().map(|at| self.options[at].1)
    }
}

/// The Copilot feature that was used. Codes 100230321 to 100230325 mean other things in [`INTERACTION_TYPE`].
pub static SCENARIO_TYPE: ChoiceSet = ChoiceSet { name: "msdyn_scenariotype", options: SCENARIOS };

const SCENARIOS: &[(i32, &str)] = &[
    (100_230_201, "Ask a question"),
    (100_230_202, "Live conversation response"),
    (100_230_203, "Write an email"),
    (100_230_204, "Copilot"),
    (100_230_205, "Case summary"),
    (100_230_206, "Live conversation summary"),
    (100_230_207, "Timeline highlights"),
    (100_230_208, "Knowledge draft assist"),
    (100_230_209, "Custom entity summary"),
    (100_230_210, "Collaborate with SMEs"),
    (100_230_211, "Inline Copilot for email"),
    (100_230_212, "Timeline next best actions"),
    (100_230_213, "Intent Assist"),
    (100_230_214, "knowledge harvest"),
    (100_230_215, "Resolution notes"),
    (100_230_216, "Chat Assist"),
    (100_230_217, "Teams collaboration summary"),
    (100_230_218, "Autonomous Case Create and Update"),
    (100_230_219, "Proactive Insights"),
    (100_230_220, "Quality Evaluation"),
    (100_230_321, "Enrich record"),
    (100_230_322, "Resolve case"),
    (100_230_323, "Case Follow Up"),
    (100_230_324, "Case Closure"),
    (100_230_325, "Workload"),
];

/// What the representative or Copilot did.
pub static INTERACTION_TYPE: ChoiceSet = ChoiceSet { name: "msdyn_interactiontype", options: INTERACTIONS };

const INTERACTIONS: &[(i32, &str)] = &[
    (100_230_301, "ThumbsUp"),
    (100_230_302, "ThumbsDown"),
    (100_230_303, "ThumbsClear"),
    (100_230_304, "Copy"),
    (100_230_305, "Generated"),
    (100_230_306, "SendToCustomer"),
    (100_230_307, "EditAndSend"),
    (100_230_308, "ManualCopy"),
    (100_230_309, "Available"),
    (100_230_310, "ArticleProposed"),
    (100_230_311, "MarkAsReviewed"),
    (100_230_312, "AcceptSuggestion"),
    (100_230_313, "ViewHistory"),
    (100_230_314, "ExpandTile"),
    (100_230_315, "RequestSolution"),
    (100_230_316, "KeepIt"),
    (100_230_317, "Discard"),
    (100_230_318, "ChooseDifferentTemplate"),
    (100_230_319, "TemplateSelection"),
    (100_230_320, "EmailSent"),
    (100_230_321, "EmailDrafted"),
    (100_230_322, "RecordUpdated"),
    (100_230_323, "ResolveCase"),
    (100_230_324, "Escalate"),
    (100_230_325, "TemplateRecommended"),
    (100_230_326, "CheckSources"),
    (100_230_327, "TemplateInstantiation"),
    (100_230_328, "AboutThisSuggestion"),
];

/// The autonomous agent that acted.
pub static AI_AGENT: ChoiceSet = ChoiceSet {
    name: "msdyn_aiagents",
    options: &[
        (192_350_001, "Resolution Discovery Agent"),
        (192_350_002, "Quality Evaluation Agent"),
        (192_350_003, "Case Processing Agent"),
        (192_350_004, "Customer Engagement Agent"),
    ],
};

/// The feature in `msdyn_copilotinteraction`: a list of its own, with the first 20 options of [`SCENARIO_TYPE`].
pub(crate) static OLDER_SCENARIO_TYPE: ChoiceSet =
    ChoiceSet { name: "msdyn_copilotinteraction_msdyn_scenariotype", options: SCENARIOS.split_at(20).0 };

/// What was done in `msdyn_copilotinteraction`: a list of its own, with 20 options of [`INTERACTION_TYPE`].
pub(crate) static OLDER_INTERACTION_TYPE: ChoiceSet =
    ChoiceSet { name: "msdyn_copilotinteractions_msdyn_interactiontype", options: &OLDER_INTERACTIONS };

static OLDER_INTERACTIONS: [(i32, &str); 20] = {
    // 100230301 to 100230319, then 100230325.
    let mut options = [INTERACTIONS[24]; 20];
    options.split_at_mut(19).0.copy_from_slice(INTERACTIONS.split_at(19).0);
    options
};

/// Whether a row is in use.
pub(crate) static STATE: ChoiceSet = ChoiceSet { name: "statecode", options: &[(0, "Active"), (1, "Inactive")] };

/// Why a row is in its state.
pub(crate) static STATUS: ChoiceSet = ChoiceSet { name: "statuscode", options: &[(1, "Active"), (2, "Inactive")] };

/// How far an activity is.
pub(crate) static ACTIVITY_STATE: ChoiceSet =
    ChoiceSet { name: "statecode", options: &[(0, "Open"), (1, "Completed"), (2, "Canceled"), (3, "Scheduled")] };

/// Why an activity is in its state.
pub(crate) static ACTIVITY_STATUS: ChoiceSet =
    ChoiceSet { name: "statuscode", options: &[(1, "Open"), (2, "Completed"), (3, "Canceled"), (4, "Scheduled")] };

/// How urgent an activity is.
pub(crate) static PRIORITY: ChoiceSet =
    ChoiceSet { name: "prioritycode", options: &[(0, "Low"), (1, "Normal"), (2, "High")] };

/// Whether an activity recurs.
pub(crate) static INSTANCE_TYPE: ChoiceSet = ChoiceSet {
    name: "instancetypecode",
    options: &[
        (0, "Not Recurring"),
        (1, "Recurring Master"),
        (2, "Recurring Instance"),
        (3, "Recurring Exception"),
        (4, "Recurring Future Exception"),
    ],
};

/// The social channel of an activity.
pub(crate) static COMMUNITY: ChoiceSet = ChoiceSet {
    name: "socialprofile_community",
    options: &[
        (0, "Other"),
        (1, "Facebook"),
        (2, "Twitter"),
        (3, "Line"),
        (4, "Wechat"),
        (5, "Cortana"),
        (6, "Direct Line"),
        (7, "Microsoft Teams"),
        (8, "Direct Line Speech"),
        (9, "Email"),
        (10, "GroupMe"),
        (11, "Kik"),
        (12, "Telegram"),
        (13, "Skype"),
        (14, "Slack"),
        (15, "WhatsApp"),
        (16, "Apple Messages For Business"),
        (17, "Google's Business Messages"),
    ],
};
