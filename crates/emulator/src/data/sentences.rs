//! Sentences of representatives and Copilot, in three languages.

use crate::data::random::Random;
use crate::data::representatives::Language;

/// A question of a representative.
pub(crate) fn prompt(random: &mut Random, language: Language) -> &'static str {
    let pool: &'static [&'static str] = match language {
        Language::English => &[
            "How do I reset a customer’s password when the recovery mail bounces?",
            "What is the return policy for opened coffee machines?",
            "Customer says the brew valve leaks after descaling. Which parts do we send?",
            "Summarise the open tickets of this account.",
            "Can I refund shipping when the parcel was delayed by more than 5 days?",
            "Draft a polite answer: the technician could not come today.",
            "Which warranty applies to refurbished devices in Switzerland?",
            "Explain error E-41 in simple words, please 🙏",
        ],
        Language::German => &[
            "Wie lange gilt die Gewährleistung für gebrauchte Geräte?",
            "Der Kunde möchte die Lieferadresse nachträglich ändern – geht das noch?",
            "Bitte fasse den Fall für die Übergabe an die zweite Ebene zusammen.",
            "Welche Unterlagen brauchen wir für eine Rücksendung aus Österreich?",
            "Was bedeutet Fehler E-41 am Mahlwerk?",
            "Formuliere eine freundliche Absage für „Expresslieferung am Sonntag“.",
        ],
        Language::French => &[
            "Quelle est la procédure d’échange pour un appareil reçu endommagé ?",
            "Le client n’a pas reçu sa facture : comment la renvoyer ?",
            "Peux-tu résumer l’échange et proposer la prochaine étape ?",
            "Quels sont les délais de livraison vers la Réunion ?",
            "Où trouver le numéro de série d’une machine à café ?",
        ],
    };
    pool[random.below(pool.len() as u64) as usize]
}

/// One sentence of an answer, a summary or a mail.
pub(crate) fn sentence(random: &mut Random, language: Language) -> &'static str {
    let pool: &'static [&'static str] = match language {
        Language::English => &[
            "Thank you for your patience while we looked into this.",
            "Open the customer’s profile and select **Security**, then “Reset sign-in”.",
            "Opened devices can be returned within 14 days if the seal of the water tank is intact.",
            "The replacement valve (part 4711-B) ships free of charge under warranty.",
            "A delay of more than 5 working days entitles the customer to a refund of the shipping cost.",
            "Issue: the device stops brewing after 20 seconds and shows E-41.",
            "The customer has already descaled the machine twice and replaced the filter.",
            "Next step: schedule a technician between 8:00 and 12:00.",
            "Please confirm the serial number; it is printed on the base plate.",
            "Refunds are booked in 3–5 days, depending on the bank.",
            "I’m sorry for the trouble 😕 — we will make this right.",
            "The parcel left our warehouse on Tuesday and is now in customs.",
            "See knowledge article KB-20417, section \"Descaling\", for the full procedure.",
            "If the light stays red, unplug the device for 30 seconds.",
            "1. Check the tank.\n2. Check the valve.\n3. Restart the device.",
        ],
        Language::German => &[
            "Vielen Dank für Ihre Geduld, während wir das geprüft haben.",
            "Die gesetzliche Gewährleistung beträgt 24 Monate ab Übergabe.",
            "Bei gebrauchten Geräten kann sie auf 12 Monate verkürzt sein.",
            "Öffnen Sie das Kundenprofil und wählen Sie „Sicherheit“, danach „Anmeldung zurücksetzen“.",
            "Das Ersatzventil (Teil 4711-B) verschicken wir kostenfrei im Rahmen der Garantie.",
            "Problem: Das Gerät bricht den Brühvorgang nach 20 Sekunden ab und zeigt E-41.",
            "Der Kunde hat bereits zweimal entkalkt und den Filter gewechselt.",
            "Nächster Schritt: Termin mit dem Techniker zwischen 8 und 12 Uhr vereinbaren.",
            "Die Rücksendung aus Österreich ist für Kundinnen und Kunden kostenlos.",
            "Erstattungen dauern je nach Bank drei bis fünf Tage.",
            "Es tut uns leid, dass es nicht auf Anhieb geklappt hat – wir kümmern uns darum 👍",
            "Die Straße auf dem Lieferschein stimmt nicht mit der Anschrift überein.",
            "Übergabe: Kunde wünscht einen Rückruf nach 17 Uhr.",
        ],
        Language::French => &[
            "Merci de votre patience pendant nos vérifications.",
            "Un appareil reçu endommagé est échangé dans un délai de 30 jours.",
            "La facture peut être renvoyée depuis l’onglet « Documents » du profil client.",
            "Problème : l’appareil s’arrête après 20 secondes et affiche E-41.",
            "Le client a déjà effectué deux détartrages et remplacé le filtre.",
            "Prochaine étape : proposer un créneau avec le technicien entre 8 h et 12 h.",
            "Le numéro de série se trouve sous le socle, à côté du code-barres.",
            "Le remboursement est effectué sous 3 à 5 jours, selon la banque.",
            "Nous sommes désolés pour la gêne occasionnée 😕",
            "Le colis a quitté notre entrepôt mardi ; il est désormais à la douane.",
            "L’éventuel surcoût vers la Réunion est à notre charge.",
        ],
    };
    pool[random.below(pool.len() as u64) as usize]
}

/// A comment that comes with a rating.
pub(crate) fn verbatim(random: &mut Random, language: Language) -> &'static str {
    let pool: &'static [&'static str] = match language {
        Language::English => &[
            "Article is outdated",
            "wrong product, customer has the X-200",
            "The answer ignores that the warranty ended in 2023.",
            "Too long. I needed one sentence.",
            "It quoted a \"policy\" that does not exist 🤷",
            "Didn’t understand the question",
            "Summary misses the last two messages",
            "Good tone, but the link is broken:\nhttps://kb.example/20417",
        ],
        Language::German => &[
            "Die Antwort ist veraltet, die Frist beträgt jetzt 30 Tage",
            "Falsches Gerät – der Kunde hat die X-200",
            "Viel zu förmlich für einen Chat 😅",
            "„Nächste Schritte“ fehlen völlig",
            "Übersetzung holprig, Größe falsch angegeben",
        ],
        Language::French => &[
            "Réponse hors sujet",
            "L’article cité n’existe plus",
            "Trop long, il manque l’essentiel…",
            "Le résumé oublie la demande de remboursement",
        ],
    };
    pool[random.below(pool.len() as u64) as usize]
}

/// A text of about `bytes` bytes of an answer, a summary or a mail.
pub(crate) fn passage(random: &mut Random, language: Language, bytes: usize) -> String {
    passage_of(random, bytes, |random| sentence(random, language))
}

/// A text of about `bytes` bytes: whole sentences, in paragraphs.
pub(crate) fn passage_of(random: &mut Random, bytes: usize, sentence: impl Fn(&mut Random) -> &'static str) -> String {
    let mut text = String::with_capacity(bytes + 160);
    while text.len() < bytes {
        if !text.is_empty() {
            text.push_str(if random.chance(200) { "\n\n" } else { " " });
        }
        text.push_str(sentence(random));
    }
    text
}
