//! Sentences that people write to Copilot and that it answers with, in three languages.

use crate::data::random::Random;
use crate::data::representatives::Language;

pub(crate) const fn locale(language: Language) -> &'static str {
    match language {
        Language::English => "en-us",
        Language::German => "de-de",
        Language::French => "fr-fr",
    }
}

/// A prompt.
pub(crate) fn prompt(random: &mut Random, language: Language) -> &'static str {
    let pool: &[&'static str] = match language {
        Language::English => &[
            "Draft a short note to the team about the new travel policy.",
            "Which decisions did we take about the warehouse move?",
            "Turn these bullet points into a table, please",
            "Summarise the last three messages from the auditors.",
            "What’s still open before Thursday’s steering committee?",
            "Make the second paragraph friendlier 🙂",
            "Compare Q2 and Q3 and tell me what \"other costs\" are",
            "Who owns the rollout in the Lisbon office?",
            "Suggest 5 titles for a talk about cold-brew machines",
            "Explain the formula in column F\nand why row 12 is negative",
        ][..],
        Language::German => &[
            "Fasse das Protokoll in fünf Sätzen zusammen.",
            "Welche Aufgaben sind bis Freitag fällig?",
            "Schreibe eine höfliche Absage an den Lieferanten – bitte kurz.",
            "Was wurde über die Größe des Lagers beschlossen?",
            "Erkläre mir den Unterschied zwischen „Ist“ und „Soll“ in der Tabelle",
            "Übersetze den Absatz ins Englische",
        ][..],
        Language::French => &[
            "Résume la réunion d’hier en trois points.",
            "Quelles sont les prochaines échéances du projet ?",
            "Rédige un message à l’équipe pour annoncer le déménagement.",
            "Où se trouve la dernière version du budget ?",
        ][..],
    };
    pool[random.below(pool.len() as u64) as usize]
}

/// A sentence of an answer; it ends with a full stop.
pub(crate) fn sentence(random: &mut Random, language: Language) -> &'static str {
    let pool: &[&'static str] = match language {
        Language::English => &[
            "The move of the warehouse is planned for the second week of May.",
            "Two suppliers have not confirmed their dates yet.",
            "Costs rose by 4.2 % against the second quarter, mostly for freight.",
            "The draft names Priya as owner and Tariq as reviewer.",
            "I couldn’t find a newer version than the one of last Tuesday.",
            "The auditors asked for the signed delivery notes of three orders.",
            "Everyone agreed to \"freeze\" the layout until the test is over.",
            "You may want to mention the deadline in the first line.",
            "The Lisbon office starts first, Lyon follows four weeks later.",
            "Row 12 is negative because a credit note was booked twice.",
        ][..],
        Language::German => &[
            "Der Umzug des Lagers ist für die zweite Maiwoche geplant.",
            "Zwei Lieferanten haben ihre Termine noch nicht bestätigt.",
            "Die Kosten stiegen gegenüber dem zweiten Quartal um 4,2 %.",
            "Offen ist, wer die Schlüsselübergabe übernimmt.",
            "Das Protokoll nennt als nächsten Schritt die Prüfung der Maße.",
            "Für die Straße nach Österreich gilt ab März eine Sperre.",
        ][..],
        Language::French => &[
            "Le déménagement de l’entrepôt est prévu pour la deuxième semaine de mai.",
            "Deux fournisseurs n’ont pas encore confirmé leurs dates.",
            "Le budget a été relevé de 4,2 % par rapport au deuxième trimestre.",
            "L’équipe de Lyon suivra quatre semaines plus tard.",
        ][..],
    };
    pool[random.below(pool.len() as u64) as usize]
}

/// A heading.
pub(crate) fn heading(random: &mut Random, language: Language) -> &'static str {
    let pool: &[&'static str] = match language {
        Language::English => &["Overview", "Next steps", "Costs & dates", "Open questions"][..],
        Language::German => &["Überblick", "Nächste Schritte", "Kosten & Termine", "Offene Fragen"][..],
        Language::French => &["Aperçu", "Étapes suivantes", "Coûts & dates", "Questions ouvertes"][..],
    };
    pool[random.below(pool.len() as u64) as usize]
}

/// The name of a meeting or of a file, without its type.
pub(crate) fn title(random: &mut Random) -> &'static str {
    const TITLES: [&str; 8] = [
        "Warehouse move",
        "Steering committee",
        "Budget 2026 (draft)",
        "Größenplan Lager",
        "Réunion d’équipe",
        "Supplier review [Q3]",
        "Onboarding handbook",
        "Travel policy",
    ];
    TITLES[random.below(TITLES.len() as u64) as usize]
}
