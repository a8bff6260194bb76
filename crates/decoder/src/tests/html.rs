//! Bodies and cards that nobody writes: decoded quickly, completely, and without a panic.

use serde_json::json;

use super::interactions::{CARD, text_of};

fn html(body: &str) -> String {
    text_of("html", body, &json!([]))
}

#[test]
fn depth_costs_no_text_and_no_minutes() {
    for (tags, count) in [
        ("<div>", 100_000),
        ("<span>", 100_000),
        ("<b>", 100_000),
        ("<b><p>", 50_000),
        ("<font size=\"1\">", 50_000),
        ("<a href=x>", 50_000),
        ("<blockquote>", 100_000),
        ("<ul><li>", 50_000),
        ("<ol><li><p>", 50_000),
        ("<table><tr><td>", 30_000),
        ("<table><td><div>", 30_000),
        ("<div><font></div>", 30_000),
        ("<div><marquee></div>", 30_000),
        ("<div><table></div>", 30_000),
        ("<p><b></p><i>", 30_000),
        ("<select><option>", 30_000),
        ("<details><summary>", 30_000),
    ] {
        let deep = format!("before {}the end &amp; more", tags.repeat(count));
        let text = html(&deep);
        assert!(text.starts_with("before") && text.ends_with("the end & more"), "{tags}: {text:.200}");
        // About as deep as elements are kept.
        for count in [20, 62, 63, 64, 65, 126, 127, 128, 129, 201] {
            let text = html(&format!("before {}the end &amp; more", tags.repeat(count)));
            assert!(text.contains("before") && text.contains("the end & more"), "{count} {tags}: {text:.200}");
        }
    }
    let text = html(&format!("{}the end{}", "<blockquote>".repeat(30_000), "</blockquote>".repeat(30_000)));
    assert_eq!(text, "the end");
}

#[test]
fn length_costs_no_minutes() {
    let words = "a few words. ".repeat(40_000);
    assert_eq!(html(&words), words.trim(), "lines are not broken");
    let lines = "a line<br>".repeat(20_000);
    assert_eq!(html(&lines).lines().count(), 20_000);
    let paragraphs = html(&"<p>a paragraph</p>".repeat(10_000));
    assert_eq!(paragraphs.lines().filter(|line| !line.is_empty()).count(), 10_000);
    assert_eq!(html(&format!("{}the end", "<caption>".repeat(30_000))), "the end");
    let unclosed = html(&"<p>a paragraph <li>one <td>".repeat(10_000));
    assert_eq!(unclosed.matches("a paragraph").count(), 10_000);
    let image = format!("before <img src=\"data:image/png;base64,{}\" alt=\"a cat\"> after", "A".repeat(1_000_000));
    assert_eq!(html(&image), "before a cat after");
    assert_eq!(html(&"<".repeat(300_000)).len(), 300_000);
    assert_eq!(html(&"1 < 2 ".repeat(30_000)), "1 < 2 ".repeat(30_000).trim());
    for broken in
        ["<a \"", "<a '", "<!--", "</", "<a", "<?", "<!", "&#", "&", "<script>", "<style></", "<p<p", "<![CDATA["]
    {
        html(&broken.repeat(30_000));
    }
}

#[test]
fn what_stands_beside_is_there() {
    let text = html("<title>no</title><table><caption>Boats</caption><tr><td>Ann<td>2<tfoot><tr><td>all<td>3</table>");
    assert_eq!(text, "Boats\n\nAnn 2\nall 3");
    assert_eq!(html("<ol>first<li>one</ol><dl>second<dt>a<dd>b</dl>"), "first\n1. one\nsecond\na\n  b");
    assert_eq!(html("<style>p{}</style><script>a</b>c</script><p>x<!-- y --></p>"), "x");
    assert_eq!(html("<ol start=3><li>one<li>two</ol><ul><li>three</ul>"), "3. one\n4. two\n- three");
    assert_eq!(html("<ol start=9223372036854775807><li>one<li>two</ol>"), "1. one\n2. two");
    assert_eq!(html("<ol start=' -1x'><li>one<li value=7>two<li>three</ol>"), "-1. one\n7. two\n8. three");
    assert_eq!(
        html("<ol><li>one<ul><li>a<li>b<br>c</ul><li><ul><li>d</ul><li></ol>e"),
        "1. one\n   - a\n   - b\n     c\n2. - d\ne"
    );
}

#[test]
fn what_stands_beside_keeps_its_structure() {
    let table = "<table><caption>Sales</caption><tr><td>a<td>1</table><ul><li>k</ul>";
    assert_eq!(html(table), "Sales\n\na 1\n- k");
    assert_eq!(html("<img alt=\"Chart\"><ol><li>one<li>two</ol>"), "Chart\n1. one\n2. two");
    assert_eq!(html("Hi <at>Ada</at> and <at>Bob</at>"), "Hi Ada and Bob");
    assert_eq!(html("<s>50</s> <del>60</del> x<sup>2</sup>"), "50 60 x²");
}

#[test]
fn tables_of_any_size() {
    let row = format!("<tr>{}</tr>", "<td>cell</td>".repeat(8));
    for rows in [1, 100, 3_000] {
        let text = html(&format!("<table>{}</table>", row.repeat(rows)));
        assert_eq!(text.matches("cell").count(), rows * 8);
        assert_eq!(text.lines().filter(|line| line.contains("cell")).count(), rows, "a row is a line");
    }
    for (table, cells) in [
        (format!("<table><tr>{}</table>", "<td>cell".repeat(50_000)), 50_000),
        (format!("<table><tr>{}{}</table>", "<td>cell".repeat(3_000), "<tr><td>cell".repeat(3_000)), 6_000),
        (format!("<table><tr><td>{}<td>cell{}</table>", "x".repeat(100_000), "<tr><td>y<td>cell".repeat(3_000)), 3_001),
        (format!("<table>{}</table>", "<tr><td rowspan=65000>cell".repeat(2_000)), 2_000),
        ("<table><tr><td colspan=18446744073709551615>cell<td colspan=18446744073709551615>cell</table>".to_owned(), 2),
        ("<table><tr><td colspan=1000000000>cell<td>cell<tr><td>cell</table>".to_owned(), 3),
        ("<table><tr><td colspan=0>cell<td ColSpan='0' rowspan=2>cell<tr><td>cell</table>".to_owned(), 3),
        ("<table><tr><td colspan=3 rowspan=2>cell<td>cell<tr><td>cell</table>".to_owned(), 3),
        ("<table><caption>cell</caption><tr><td>".repeat(50), 50),
    ] {
        let text = html(&table);
        assert_eq!(text.matches("cell").count(), cells, "{table:.200}");
    }
}

#[test]
fn placeholders_in_any_number() {
    let card = |text: &str| {
        let content = json!({ "body": [{ "type": "TextBlock", "text": text }] }).to_string();
        json!([{ "attachmentId": "a", "contentType": CARD, "content": content }])
    };
    let text = "an answer of some length. ".repeat(1_000);
    for form in [
        "<attachment id=\"a\"></attachment>",
        "&lt;attachment id=&quot;a&quot;&gt;&lt;/attachment&gt;",
        "<attachment id='a'/>",
    ] {
        let body = format!("{}{} end", form.repeat(30_000), "<attachment id=\"b\">".repeat(10_000));
        assert_eq!(text_of("text", &body, &card(&text)), format!("{} end", text.trim()), "{form}: shown once");
    }
    for open in ["<attachment id=\"a\"", "&lt;attachment id=", "attachment id="] {
        let body = open.repeat(50_000);
        assert_eq!(text_of("text", &body, &card("x")), body, "words that are no placeholder");
    }
    assert_eq!(text_of("text", "a <attachment id=\"b\"> b </attachment> c", &json!([])), "a  b </attachment> c");
    assert_eq!(text_of("text", "\u{e000}1\u{e001} \u{fdd0}0\u{fdd1}", &json!([])), "\u{e000}1\u{e001} 0");
}

#[test]
fn cards_that_are_no_cards() {
    let shown = |content: &str| {
        let attachments = json!([{ "attachmentId": "a", "contentType": CARD, "content": content }]);
        text_of("html", "<attachment id=\"a\"></attachment>", &attachments)
    };
    let block = r#"{"type":"TextBlock","text":"said \"so\" \ud83d\ude42"}"#;
    for depth in [1, 30, 200, 100_000] {
        let card = format!(r#"{{"body":[{}{block}{}]}}"#, r#"{"items":["#.repeat(depth), "]}".repeat(depth));
        assert_eq!(shown(&card), "said \"so\" \u{1f642}", "{depth}");
    }
    assert_eq!(shown(&format!(r#"{{"body":[{block},{{"type":"TextBlock","text":"and th"#)), "said \"so\" \u{1f642}");
    assert_eq!(shown(r#"{"body":[{"type":"TextBlock","text":"cut \ud83d"}]}"#), "cut \u{fffd}");
    assert_eq!(
        shown(r#"{"body":[{"type":"TextBlock","text":"\\ud83d \ude42\ud83d\ude42"}]}"#),
        "\\ud83d \u{fffd}\u{1f642}"
    );
    for nothing in
        ["", "{", "[]", "null", "\"text\"", r#"{"text":}"#, r#"{"text" "x"}"#, r#"{"body":{}}"#, "\\", "\"\\"]
    {
        assert_eq!(shown(nothing), "", "{nothing}");
    }
    let named = |text: &str| json!({ "type": "TextBlock", "id": "MessageTextField", "text": text });
    let unnamed = |text: &str| json!({ "type": "TextBlock", "text": text });
    let both = |blocks: &[serde_json::Value]| shown(&json!({ "body": blocks }).to_string());
    assert_eq!(
        both(&[unnamed("Summary"), named("A summary of it")]),
        "Summary\n\nA summary of it",
        "a heading is no answer"
    );
    assert_eq!(both(&[unnamed("42"), named("42[^1^]")]), "42");
    assert_eq!(both(&[unnamed("\u{1f44d}"), named("\u{1f44d}")]), "\u{1f44d}");
    let many: Vec<_> = (0..3_000).flat_map(|n| [named(&format!("one {n}")), unnamed(&format!("two {n}"))]).collect();
    assert_eq!(both(&many).matches("two").count(), 3_000);
}
