//! HTML shows what a browser shows, in linear time and size.

use serde_json::json;

use super::interactions::text_of;
use super::oracle::Random;
use crate::interaction::html::{self, oracle};

/// Elements that can be nested, and others that the tree builder handles specially.
const WORK: u64 = 1_000;

fn shown(body: &str) -> String {
    text_of("html", body, &json!([]))
}

#[test]
fn nothing_that_a_browser_shows_is_hidden() {
    for (body, text) in [
        // Comments end sooner than they seem to.
        ("<p>hello</p><!--><p>send me the payroll</p>", "hello\n\nsend me the payroll"),
        ("<p>hello</p><!---><p>send me the payroll</p>-->", "hello\n\nsend me the payroll\n\n-->"),
        ("<p>hello</p><!-- x --!><p>send me the payroll</p>", "hello\n\nsend me the payroll"),
        ("a<!-- <!-- -->b-->c", "ab-->c"),
        ("a<!doctype \"b>c\">d", "ac\">d"),
        ("a<?b c?>d</ e>f</>g", "adfg"),
        ("a<![CDATA[b>c]]>d<svg><![CDATA[e<b>f]]></svg>g", "ac]]>de<b>fg"),
        // Quotation marks only count where a value begins.
        (r#"<a b=c="> ANYTHING ">x"#, r#"ANYTHING ">x"#),
        (r#"<a b="c>d" e='f>g' h=">">x"#, "x"),
        (r#"<a b"=">x<a =">y<a / c/="d>e">z"#, "ye\">z"),
        ("<p title=>x<p title>y", "x\n\ny"),
        // What looks like markup and is text, and the other way round.
        ("<textarea>a<b>c</textarea>d<xmp><i>e</xmp>", "a<b>cd\n\n<i>e"),
        ("a<title><b>x</title>b<noscript>c</noscript>", "abc"),
        ("<script>x<!-- <script> </script> a --> b</script>c", "c"),
        ("<script><!-- <script> </script> </script>c", "c"),
        ("<script><!--></script>a<style>x</style >b", "ab"),
        ("<svg><style><p>hello</p>", "hello"),
        ("<svg><style>x</style><title>y</title><text>a</text></svg>b", "ab"),
        ("<svg><a><text>a</text></a><font>b</font><font color=red>c", "abc"),
        ("<math><mi>a<b>b</b></mi><annotation>x</annotation></math>", "ab"),
        ("<math><annotation-xml encoding='Text/HTML'><p>x</p></annotation-xml></math>y", "y"),
        ("<template>x</template>a<iframe>x</iframe><p hidden>x</p>", "a"),
        ("a<plaintext>b</plaintext>&amp;", "a\n\nb</plaintext>&amp;"),
        // Tables keep their cells and lose what stands between.
        ("<table>b<tr>c<td>d</table>", "bc\n\nd"),
        ("<table><tr><td>a<td><p>b</p><td>c<br>d<td></td><td>e<tr><td><ul><li>f</ul>", "a b c\nd e\n- f"),
        ("<p>a<b>b<p>c</b>d<i>e</p>f", "ab\n\ncde\n\nf"),
        // References, with and without their end.
        (
            "&amp;&ampx&notit;&notin;&#x41;&#65&#128;&#0;&#xD800;&#x110000;&#99999999999;&;&#;&#x;&bogus;",
            "&&x\u{ac}it;\u{2209}AA\u{20ac}\u{fffd}\u{fffd}\u{fffd}\u{fffd}&;&#;&#x;&bogus;",
        ),
        ("<img alt='a&ampb&amp=c&amp;d&lt'>", "a&ampb&amp=c&d<"),
        ("a\u{0}b\r\nc<pre>\r\n d\r  e\n\n</pre>f", "ab c\n\n d\n  e\n\nf"),
    ] {
        assert_eq!(shown(body), text, "{body}");
        assert_eq!(oracle::text(body), html::text(body), "{body}");
    }
}

#[test]
fn what_stands_for_something_is_there_once() {
    for (body, text) in [
        ("well <emoji id=\"smile\" alt=\"\u{1f642}\" title=\"Smile\"></emoji> done", "well \u{1f642} done"),
        ("well <emoji alt=\"\u{1f642}\">\u{1f642}</emoji> done", "well \u{1f642} done"),
        ("well <customemoji alt='party'></customemoji> done", "well party done"),
        ("<a title='x' href=y><img alt=' a  cat ' title='x'></a>!", "a cat !"),
        ("<input value=a><input type=IMAGE alt=b><input type=hidden value=x><input type=password value=x>", "ab"),
        ("<img><img alt>a<sup>12</sup>b<sup>th</sup><sub>3</sub> <q>c</q>", "a\u{b9}\u{b2}bth3 \u{201c}c\u{201d}"),
    ] {
        assert_eq!(shown(body), text, "{body}");
    }
}

#[test]
fn work_and_text_grow_with_the_length() {
    let attributes: String = (0..100_000).map(|at| format!(" a{at}=\"{at}\"")).collect();
    let shapes = [
        ("<div>", ""),
        ("<p><span>", ""),
        ("<b>", "</b>"),
        ("<b><p>", "</b>"),
        ("<p><b><i><u><s><a href=x><font size=1><code><em><strong><tt><big>x", ""),
        ("<i><sup><p>", "x</i>"),
        ("<a><div>", "</a>"),
        ("<nobr><div>", ""),
        ("<li>x<br>y", ""),
        ("<ul><li>x<dd>", ""),
        ("<blockquote>", "</blockquote>"),
        ("<table>x<tr>y", ""),
        ("<table><td><marquee></table><b></b>", ""),
        ("<table><tr><td>", "</td></tr></table>"),
        ("<svg><foreignObject><a>", "</p>"),
        ("<math><mi><b>", "</mi>"),
        ("<svg><title>", ""),
        ("<svg><style><g>", "</svg>"),
        ("<select><option>", "</option>"),
        ("<template><p>", "</template>"),
        ("<form><button>", "</form>"),
        ("<ruby><rt>", ""),
        ("</p></br>", ""),
        ("<!-->", ""),
        ("<!-- -->", ""),
        ("<!---", ""),
        ("<![CDATA[", ""),
        ("<script><!--", ""),
        ("<textarea></text", ""),
        ("&ngE;&am&#1", ""),
        ("<q>", "</q>"),
        ("<a b=c=\"> ANYTHING \">x", ""),
        ("<a b=\"", ""),
        ("<x y=", ""),
        ("\u{0}<", "\u{0}"),
    ];
    for (start, end) in shapes {
        let once = format!("{start}{end}").matches(['<', '&', '\u{0}']).count().max(1) as u64;
        for count in [1_000, 10_000] {
            for body in [start.repeat(count) + &end.repeat(count), format!("{start}{end}").repeat(count)] {
                let work = oracle::work(&body);
                assert!(work <= (count as u64 + 1_000) * once * WORK, "{work} for {count} {start}{end}");
                let text = html::text(&body);
                assert!(text.len() <= 8 * body.len(), "{} of {count} {start}{end}", text.len());
            }
        }
    }
    for body in [format!("<p{attributes}>x"), format!("<p>x</p{attributes}>"), format!("<p{attributes}")] {
        assert!(oracle::work(&body) <= WORK);
        assert!(html::text(&body).len() <= 1);
    }
    // Many elements with many attributes that stay open.
    let body = format!("{}{}", "<font color=1 face=2 size=3 id=4>".repeat(1_000), "<p>x".repeat(100_000));
    assert_eq!(shown(&body).matches('x').count(), 100_000);
}

#[test]
fn both_tokenizers_show_the_same() {
    const PIECES: [&str; 64] = [
        "<",
        ">",
        "</",
        "/>",
        "<!--",
        "-->",
        "--!>",
        "--",
        "-",
        "!",
        "<!",
        "<?",
        "<![CDATA[",
        "]]>",
        "&",
        "&amp",
        "&lt;",
        "&#",
        "&#x3",
        ";",
        "=",
        "\"",
        "'",
        " ",
        "\n",
        "\r",
        "\u{0}",
        "/",
        "a",
        "x y",
        "p",
        "script",
        "style",
        "title",
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<a href=",
        "<div ",
        "</div>",
        "<table>",
        "<tr>",
        "<td>",
        "</table>",
        "<svg>",
        "</svg>",
        "<math>",
        "<mi>",
        "<title>",
        "</title>",
        "<textarea>",
        "</textarea",
        "<script>",
        "</script>",
        "<style>",
        "<plaintext>",
        "<template>",
        "</template>",
        "<img alt=",
        "<select>",
        "<option>",
        "<pre>",
        "\u{e4}\u{1f642}",
    ];
    let mut random = Random(11);
    for _ in 0..if super::is_soak() { 2_000_000 } else { 40_000 } {
        let length = 1 + random.below(14);
        let body: String = (0..length).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let text = html::text(&body);
        assert_eq!(oracle::text(&body), text, "{body:?}");
        assert!(text.len() <= 8 * body.len(), "{body:?}");
    }
}
