//! Choice sets: the integer codes of Dataverse choice columns and their English labels.

/// The options of a choice column. Unknown codes are data, not errors: lists grow between releases.
#[derive(Debug)]
pub struct ChoiceSet {
    /// The service's name of the set.
    pub name: &'static str,
    /// Code and English label, ascending by code.
    pub options: &'static [(i32, &'static str)],
}

impl ChoiceSet {
    /// The label of a code.
    pub fn label(&self, code: i32) -> Option<&'static str> {
        self.options.binary_search_by_key(&code, |option| option.0).ok().map(|at| self.options[at].1)
    }
}

/// The Copilot feature that was used. Codes 100230321 to 100230325 mean other things in [`INTERACTION_TYPE`].
pub static SCENARIO_TYPE: ChoiceSet = ChoiceSet {
    name: "msdyn_scenariotype",
    options: &[
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
    ],
};

/// What the representative or Copilot did.
pub static INTERACTION_TYPE: ChoiceSet = ChoiceSet {
    name: "msdyn_interactiontype",
    options: &[
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
    ],
};

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
